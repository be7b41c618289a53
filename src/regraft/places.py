"""Where regraft keeps what outlives a run."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of what can be made again at any time: ``REGRAFT_CACHE``, or the system's place for caches."""
    given = os.environ.get("REGRAFT_CACHE")
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("regraft")
