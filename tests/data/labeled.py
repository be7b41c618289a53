"""Folders of photos with tables of their labels, and archives, for tests of what users bring."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from data.odd_files import encoded, picture
from regraft.data.source import Source

JPEG = encoded(picture(), "JPEG")


def photo(number: int) -> bytes:
    """Return a photo that differs from those of other numbers; bytes after the end of a JPEG do no harm."""
    return JPEG + number.to_bytes(2, "big")


def folder_of(root: Path, names: Iterable[str]) -> Path:
    """Write a photo with each name, and return the folder."""
    root.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(photo(number))
    return root


def labels_of(source: Source) -> dict[str, str]:
    """Return the label of each photo by its name."""
    return {photo.name: photo.label for photo in source.photos}


def zip_of(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a zip archive and return its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def tar_of(path: Path, members: Mapping[str, bytes], links: Mapping[str, tuple[bytes, str]] | None = None) -> Path:
    """Write a tar archive, compressed as its suffix says, and return its path; links are (type, target) by name."""
    kind = path.suffix.removeprefix(".")
    with tarfile.open(path, f"w:{kind}" if kind in ("gz", "bz2", "xz") else "w") as file:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
        for name, (link, target) in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = link, target
            file.addfile(member)
    return path


def state_of(folder: Path) -> dict[str, tuple[str, int]]:
    """Return hash and time of change of every file, to see whether anything has changed."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(f): (hashlib.sha256(f.read_bytes()).hexdigest(), f.stat().st_mtime_ns) for f in files}
