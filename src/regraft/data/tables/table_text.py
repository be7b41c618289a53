"""Encoding of text files that spreadsheets write: UTF-8, UTF-16, or Windows-1252 where that is plain."""

from __future__ import annotations

import re
from pathlib import Path

from regraft.errors import PhotosError

_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_SIGNS = frozenset("\u20ac\u201a\u201e\u2026\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u2122©®°±²³µ·×÷«»§£¥¡¿¼½¾ª\xa0")
"""Characters of Windows-1252 that are written between words."""


def decoded(data: bytes, file: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text of a file, and a note if its encoding had to be assumed.

    Args:
        data: all bytes of the file.
        file: the file, for messages.

    Raises:
        PhotosError: it is neither UTF-8 nor UTF-16, and does not look like Windows-1252.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and is_wide(data):
        encoding = "utf-16-le" if data[1] == 0 else "utf-16-be"
    if encoding.startswith(("utf-16", "utf-32")):
        return data.decode(encoding, "replace"), ()
    try:
        return data.decode(encoding), ()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"line {line} is not UTF-8 (byte 0x{data[error.start]:02x})"
    text = _western(data)
    if text is None:
        raise PhotosError(f"{file}: {found}\n  save it as 'CSV UTF-8'")
    words = [word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()]
    example = f", such as {words[0]!r}" if words else ""
    note = f"{found}: read as Windows-1252{example}; if that is wrong, save it as 'CSV UTF-8'"
    return text, (f"{file.name}: {note}",)


def is_wide(data: bytes) -> bool:
    """Return whether text has two bytes or more per character: it has a mark, or every second byte is zero."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    first = data[:200]
    halves = first[0::2], first[1::2]
    one_half = any(half.count(0) >= 0.9 * len(half) for half in halves)
    return len(first) >= 8 and one_half and first.count(0) < 0.6 * len(first)


def _western(data: bytes) -> str | None:
    """Return the text as Windows-1252, or None if its words are not of a Western language.

    Text in another code page, read as Windows-1252, has signs inside words, or words without an ASCII letter, or
    several other letters in a row.
    """
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    for word in re.findall(r"[A-Za-z\x80-\U0010ffff]+", text):
        bare = word.strip("".join(_SIGNS))
        other = [c for c in bare if not c.isascii()]
        mixed = any(c.isascii() for c in bare) or not other
        if not mixed or any(not c.isalpha() and c != "’" for c in other) or re.search(r"[^\x00-\x7f’]{3}", bare):
            return None
    return text
