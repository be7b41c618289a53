"""The photos of the run that a model file belongs to, as far as they are still in their places."""

from __future__ import annotations

from pathlib import Path

from regraft.data.manifest import Entry, Manifest
from regraft.errors import RunFolderError
from regraft.run.folder import RunFolder


def photos_of_run(model: Path) -> list[Entry]:
    """Return the usable photos of a run, in name order; an empty list if the run is missing or unreadable.

    Args:
        model: the run folder, or a model file in it.
    """
    folder = RunFolder(model if model.is_dir() else model.parent)
    if not (folder.config.exists() and folder.manifest.exists()):
        return []
    try:
        return Manifest.read(folder.manifest, Path(str(folder.read_config()["photos"]))).usable
    except (RunFolderError, KeyError):
        return []


def held_out_photos(model: Path, most: int) -> list[Path]:
    """Return at most ``most`` validation and test photos of a run, at even distances; if there are none, others."""
    entries = photos_of_run(model)
    some = [entry.path for entry in entries if entry.side not in (None, "train")] or [entry.path for entry in entries]
    step = max(1, -(-len(some) // most))
    return [path for path in some[::step] if path.is_file()]
