"""What `predict` is asked about: photos, folders of them, and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from regraft.data.walk import Skipped, photos_below
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
    skipped: Skipped = []
    for argument in arguments:
        named = _named(argument)
        if not named:
            missing.append(argument)
        for path in named:
            found.update(dict.fromkeys(_in_folder(path, outside, skipped) if path.is_dir() else [path]))
    if missing:
        raise PhotosError(f"no such photo or folder: {', '.join(missing)}")
    if not found:
        why = f"\n  found {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise PhotosError(f"no photos in {', '.join(arguments)}{why}")
    return list(found)


def _named(argument: str) -> list[Path]:
    if os.path.lexists(argument):
        return [Path(argument)]
    if glob.has_magic(argument):
        return [Path(path) for path in sorted(glob.glob(argument, recursive=True))]
    return []


def _in_folder(folder: Path, outside: Path | None, skipped: Skipped) -> Iterable[Path]:
    paths = [path for _, path in photos_below(folder, str(folder), frozenset(), skipped)]
    if outside is None:
        return paths
    left_out = outside.resolve()
    return [path for path in paths if not path.resolve().is_relative_to(left_out)]
