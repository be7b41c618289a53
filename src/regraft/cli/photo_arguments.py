"""Photos on the command line: files, folders, archives, and patterns that the shell has not expanded."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.cli.photo_names import with_names_on_stdin
from regraft.errors import PhotosError

if TYPE_CHECKING:
    from regraft.data.folders.walk import Skipped


def expand(arguments: Sequence[str]) -> list[Path]:
    """Return the photos that ``arguments`` name, without repetition, in the order of arguments and of names in folders.

    Args:
        arguments: photos; folders, which are searched at any depth; patterns with ``*``, ``?``, ``[…]`` or ``**`` that
            the shell has not expanded; and ``-`` for the names on standard input.

    Raises:
        PhotosError: some arguments match nothing (all are named in one message), or there are no photos at all.
    """
    photos: dict[Path, None] = {}
    missing = []
    skipped: Skipped = []
    for argument, may_be_pattern in with_names_on_stdin(arguments):
        paths = _matches(argument) if may_be_pattern else [Path(argument)]
        if not paths:
            missing.append(argument)
        for path in paths:
            photos.update(dict.fromkeys(_in_folder(path, skipped) if _is_folder(path) else [path]))
    if missing:
        raise PhotosError(f"no such photo or folder: {', '.join(missing)}")
    if not photos:
        why = f"\n  found {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise PhotosError(f"no photos in {', '.join(arguments)}{why}")
    return list(photos)


def _matches(argument: str) -> list[Path]:
    from regraft.data.photos_by_content import is_readable  # not for --help

    if os.path.lexists(argument) or _is_folder(Path(argument)) or is_readable(Path(argument)):
        return [Path(argument)]
    if glob.has_magic(argument):
        return [Path(path) for path in sorted(glob.glob(argument, recursive=True))]
    return []


def _is_folder(path: Path) -> bool:
    """Return whether a path is a folder on the disk, an archive of photos, or a folder in one."""
    from regraft.data.folders.listing import is_in_archive  # not for --help

    return path.is_dir() or is_in_archive(path)


def _in_folder(folder: Path, skipped: Skipped) -> Iterable[Path]:
    from regraft.data.folders.listing import list_root
    from regraft.data.folders.walk import photos_below  # not for --help

    if folder.is_dir():
        return [path for _, path in photos_below(folder, str(folder), frozenset(), skipped)]
    return [path for _, path in list_root(folder, None).photos()]
