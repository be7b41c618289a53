"""What `predict` is asked about: photos, folders of them, and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from regraft.data.files import open_regular
from regraft.data.formats import HEAD, PHOTO_SUFFIXES, kind_of
from regraft.errors import PhotosError


def expand(arguments: Sequence[str], *, outside: Path | None = None) -> list[Path]:
    """Return the photos that ``arguments`` name, each once, in the order given and by name within a folder.

    Args:
        arguments: photos, which are taken as they are; folders, in which photos at any depth are found; and patterns
            with ``*``, ``?``, ``[…]`` or ``**`` that the shell has not expanded.
        outside: a folder whose content is left out, because the copies go there.

    Raises:
        PhotosError: all arguments that name nothing, in one message; or no photos at all.
    """
    found: dict[Path, None] = {}
    missing = []
    for argument in arguments:
        named = _named(argument)
        if not named:
            missing.append(argument)
        for path in named:
            found.update(dict.fromkeys(_photos_below(path, outside) if path.is_dir() else [path]))
    if missing:
        raise PhotosError(f"no such photo or folder: {', '.join(missing)}")
    if not found:
        raise PhotosError(f"no photos in {', '.join(arguments)}")
    return list(found)


def _named(argument: str) -> list[Path]:
    if os.path.lexists(argument):
        return [Path(argument)]
    if glob.has_magic(argument):
        return [Path(path) for path in sorted(glob.glob(argument, recursive=True))]
    return []


def _photos_below(folder: Path, outside: Path | None) -> Iterator[Path]:
    kept_out = outside.resolve() if outside is not None else None
    for place, folders, files in os.walk(folder):
        if kept_out is not None and Path(place).resolve() == kept_out:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place, name)
            if not name.startswith(".") and _looks_like_photo(path):
                yield path


def _looks_like_photo(path: Path) -> bool:
    """Return whether the content is a photo's or the name claims so; what then cannot be read is said, not left out."""
    if path.suffix.lower() in PHOTO_SUFFIXES:
        return True
    try:
        with open_regular(path) as file:
            return kind_of(file.read(HEAD)) is not None
    except OSError:
        return False
