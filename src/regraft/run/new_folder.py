"""New run folders: numbered ones below ``runs``, or one that the user names; nothing is ever overwritten."""

from __future__ import annotations

import os
import re
from pathlib import Path

from regraft.disk.atomic import PART, flush_folder, make_folder
from regraft.errors import RunFolderError
from regraft.run.folder import RESUME, RunFolder

BASE = Path("runs")
"""Folder of numbered runs, relative to the current folder."""


def create_run_folder(out: Path | None, photos: Path, recipe: str, base: Path = BASE) -> RunFolder:
    """Create a run folder and return it.

    Args:
        out: its path, or None for the next free ``runs/<photos>-<recipe>-NNN``.
        photos: the folder of photos; part of the name.
        recipe: the recipe; part of the name.
        base: the folder of numbered runs.

    Raises:
        RunFolderError: ``out`` is not empty, or is not writable.
    """
    if out is not None:
        return _explicit(out)
    try:
        make_folder(base)
    except OSError as error:
        raise RunFolderError(
            f"cannot make the folder {base}: {error.strerror or error}\n  choose another place with -o"
        ) from error
    stem = _stem(photos, recipe)
    return _next(base, stem, 1 + max((_number(p.name, stem) for p in base.iterdir()), default=0))


def next_free_folder(out: Path) -> Path:
    """Return the first of ``out``, ``out-002``, ``out-003`` … that does not exist or is empty."""
    number, path = 2, out
    while path.exists() and (not path.is_dir() or any(path.iterdir())):
        path = out.with_name(f"{out.name}-{number:03}")
        number += 1
    return path


def numbered_runs(photos: Path, recipe: str, base: Path = BASE) -> list[RunFolder]:
    """Return the numbered run folders of these photos and this recipe, the newest first."""
    stem = _stem(photos, recipe)
    paths = [(_number(p.name, stem), p) for p in base.iterdir()] if base.is_dir() else []
    return [RunFolder(p) for number, p in sorted(paths, reverse=True) if number and RunFolder(p).config.exists()]


def _next(base: Path, stem: str, number: int) -> RunFolder:
    while True:
        path = base / f"{stem}-{number:03}"
        try:
            path.mkdir()
            flush_folder(base)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise RunFolderError(f"cannot make the run folder {path}: {error.strerror or error}") from error
        else:
            return RunFolder(path)


def _stem(photos: Path, recipe: str) -> str:
    name = re.sub(r"\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$", "", photos.resolve().name, flags=re.IGNORECASE)
    return f"{_safe(name)}-{recipe}"


def _explicit(out: Path) -> RunFolder:
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out} is a file; -o expects the name of a new folder")
    if out.is_dir() and any(_is_content(path.name) for path in out.iterdir()):
        content = "an earlier run" if RunFolder(out).config.exists() else "other files"
        raise RunFolderError(f"{out} already contains {content}; nothing is overwritten\n  name a new folder with -o")
    try:
        make_folder(out)
    except OSError as error:
        raise RunFolderError(f"cannot make the run folder {out}: {error.strerror or error}") from error
    if not os.access(out, os.W_OK):
        raise RunFolderError(f"cannot write to the run folder {out}: permission denied")
    return RunFolder(out)


def _is_content(name: str) -> bool:
    """Return whether a file is content of its folder, and not a remnant of a run that was killed while starting."""
    return name != RESUME and not name.startswith(PART)


def _safe(name: str) -> str:
    name = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(". ") or "photos"
    while len(name.encode("utf-8", "surrogateescape")) > 120:
        name = name[:-1]
    return name


def _number(name: str, stem: str) -> int:
    match = re.fullmatch(re.escape(stem) + r"-(\d{3,9})", name)
    return int(match[1]) if match else 0
