"""The cache folder: features, decoded photos, graphs and probes that later runs reuse."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

GRAPHS, PROBES = ("graphs", "*.onnx"), ("probes", "*.safetensors")
"""Folders of the cache (in addition to the feature store), and the pattern of the files in them."""

PIXELS = "pixels"
"""Folder of the store of decoded photos, which trainings read instead of decoding them in each epoch."""

SHARED = "shared"
"""Folder of local copies of files from shared feature stores at an address."""


def cache_folder() -> Path:
    """Return the folder of everything that can be recomputed: ``REGRAFT_CACHE``, or the system's folder for caches."""
    user_folder = os.environ.get("REGRAFT_CACHE")
    if user_folder:
        return Path(user_folder)
    from platformdirs import user_cache_path

    return user_cache_path("regraft")


def files_by_use(folder: str, pattern: str) -> list[Path]:
    """Return the files in a folder of the cache, the least recently used first."""
    with contextlib.suppress(OSError):
        return sorted((cache_folder() / folder).glob(pattern), key=lambda path: path.stat().st_mtime)
    return []
