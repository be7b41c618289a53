"""Where regraft keeps what outlives a run."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

GRAPHS, PROBES = ("graphs", "*.onnx"), ("probes", "*.safetensors")
"""Folders of the cache, beside that of the store, and the files that are kept in them."""


def cache_folder() -> Path:
    """Return the folder of what can be made again at any time: ``REGRAFT_CACHE``, or the system's place for caches."""
    given = os.environ.get("REGRAFT_CACHE")
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("regraft")


def files_by_use(folder: str, pattern: str) -> list[Path]:
    """Return the files of a folder of the cache, those used last at the end."""
    with contextlib.suppress(OSError):
        return sorted((cache_folder() / folder).glob(pattern), key=lambda path: path.stat().st_mtime)
    return []
