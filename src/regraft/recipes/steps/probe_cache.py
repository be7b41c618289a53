"""A cache of solved probes on disk: the same probe of the same photos is not solved again by a later run.

Each is a file in the cache folder. One that cannot be read is solved again; the least recently used are deleted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from regraft.cache_dir import PROBES, cache_folder, files_by_use
from regraft.errors import ModelFileError
from regraft.training.state_format import read_state, write_state

MAX_FILES = 256
"""Maximum solved probes in the cache."""

MAX_BYTES = 4 << 20
"""Maximum bytes of arrays in a cached probe. Larger ones would fill a disk, and their features take longer anyway."""


def get_or_solve(key: str, solve: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the result of ``solve``, from the cache if an earlier run computed it.

    Args:
        key: hexadecimal digits, a hash of everything that the result depends on.
        solve: returns numbers, texts, arrays, and lists and dicts of them.
    """
    path = cache_folder() / PROBES[0] / f"{key}.safetensors"
    try:
        cached = dict(read_state(path)["value"])
        with contextlib.suppress(OSError):
            path.touch()
        return cached
    except (ModelFileError, KeyError):  # missing or damaged
        pass
    value = solve()
    if _bytes(value) > MAX_BYTES:
        return value
    with contextlib.suppress(OSError):  # if the disk is full, it is solved again next time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_state(path, {"value": value})
        for old in files_by_use(*PROBES)[:-MAX_FILES]:
            old.unlink()
    return value


def _bytes(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(_bytes(part) for part in value.values())
    return int(getattr(value, "nbytes", 0))
