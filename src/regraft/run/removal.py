"""Removal of run folders: only files that regraft has written, and never those of a run in progress."""

from __future__ import annotations

import shutil
from pathlib import Path

from regraft.disk.atomic import PART
from regraft.errors import RunFolderError
from regraft.run.folder import RunFolder, open_run_folder
from regraft.run.lock import RunLock

COMPARISON = "compare-with-"
"""Prefix of the names of pages that compare this run with another one."""

_LATER_FILES = (
    "report.html", "progress.json", "stop-request", "learning_rate.svg", "learning_rate.csv", "export",
)  # fmt: skip
"""Files and folders of a run that are not needed by its training."""


def own_content(folder: RunFolder) -> list[Path]:
    """Return the files and folders in a run folder that regraft has written."""
    names = {path.name for name, path in vars(folder).items() if name != "path"} | set(_LATER_FILES)
    return [path for path in folder.path.iterdir() if path.name in names or path.name.startswith((PART, COMPARISON))]


def remove_run(path: Path) -> list[Path]:
    """Remove a run folder.

    ``config.json`` goes last, so that an interrupted removal can be repeated.

    Returns:
        Files that regraft has not written; they and their folder are kept.

    Raises:
        RunFolderError: ``path`` is a link or not a run folder, or a process trains into it.
        OSError: a file cannot be removed.
    """
    if path.is_symlink():
        raise RunFolderError(f"{path} is a link, which is not followed\n  remove the folder that it leads to")
    folder = open_run_folder(path)
    RunLock(folder.resume, path).take().release()
    for one in sorted(own_content(folder), key=lambda one: one == folder.config):
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        else:
            one.unlink()
    remaining = list(path.iterdir())
    if not remaining:
        path.rmdir()
    return remaining
