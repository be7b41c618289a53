"""Names of folders for classes: one path component each, valid and distinct on any system."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

MAX_BYTES = 200
"""Maximum length of a folder name in bytes of UTF-8. File systems allow 255, but a file name must still fit into the
path.
"""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff\u2028\u2029]')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)


def folder_names(classes: Sequence[str]) -> dict[str, str]:
    """Return the folder name of each class: one path component, valid on Linux, macOS and Windows.

    A class keeps its name if that is valid. Distinct classes get distinct names even on file systems that ignore case
    or the composition of accents: a changed name gets a suffix computed from the class.

    Args:
        classes: any text, even ``"../../x"``, ``"CON"`` or text with NUL in it.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted(set(classes), key=lambda label: (_safe_name(label) != label, label)):
        plain = name = _safe_name(label)
        tries = 0
        while _comparison_key(name) in taken or len(name.encode()) > MAX_BYTES:
            name = f"{_truncated(plain, MAX_BYTES - 13)}~{_hash_suffix(label, tries)}"
            tries += 1
        names[label] = name
        taken.add(_comparison_key(name))
    return names


def _safe_name(label: str) -> str:
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", label)).strip().rstrip(". ")
    if not name:
        return "_"
    if name.startswith("."):  # would be hidden
        name = "_" + name[1:]
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def _comparison_key(name: str) -> str:
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())


def _truncated(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore").rstrip(". ")


def _hash_suffix(label: str, tries: int) -> str:
    return hashlib.sha256(f"{tries} {label}".encode("utf-8", "surrogatepass")).hexdigest()[:12]


def numbered_name(photo: Path, number: int) -> str:
    """Return the name of ``photo``, with a number above 1 before its suffix: ``a.jpg``, ``a (2).jpg``."""
    if number == 1:
        return photo.name
    end = f" ({number}){photo.suffix}"
    return os.fsdecode(os.fsencode(photo.stem)[: 255 - len(os.fsencode(end))]) + end
