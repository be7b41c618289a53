"""Photos that have moved or have other names, found by the hash of their content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from regraft.data.file_types import open_regular
from regraft.data.folders.listing import list_root
from regraft.data.manifest import Entry, read_entry
from regraft.data.photo import Photo
from regraft.data.threads import map_in_order
from regraft.errors import PhotosError
from regraft.screen import Bar
from regraft.text import shorten


def paths_by_content(
    folder: Path, entries: Sequence[Entry], *, workers: int, bar: Bar | None = None
) -> dict[str, Path]:
    """Return where photos are now, by their names: the first photo below ``folder`` with the same content.

    Args:
        folder: a folder or an archive; it is searched at any depth.
        entries: the photos, with their content hashes.
        workers: number of reading threads.
        bar: advanced by one for each photo that is read.

    Raises:
        PhotosError: the folder is missing, or lacks a photo; the message says how many.
    """
    photos = [Photo(path, name, "", None, None) for name, path in sorted(list_root(folder, None).photos())]
    paths: dict[str, Path] = {}
    for read in map_in_order(read_entry, photos, workers=workers, ahead=4 * max(workers, 1)):
        paths.setdefault(read.content, read.path)
        if bar is not None:
            bar.advance()
    missing = [entry.name for entry in entries if entry.content not in paths]
    if missing:
        number = f"{len(missing):,} of {len(entries):,} photos"
        raise PhotosError(
            f"{folder}: {number} are not there, by their content: {shorten(missing)}\n"
            "  expected   the same files, whatever their names; a photo that was saved again is another file"
        )
    return {entry.name: paths[entry.content] for entry in entries}


def is_readable(path: Path) -> bool:
    """Return whether a photo is there, as a file or as a member of an archive."""
    if path.exists():
        return True
    try:
        open_regular(path).close()
    except (OSError, ValueError):
        return False
    return True
