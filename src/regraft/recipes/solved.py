"""Solved probes, kept beside the features that they were solved from: the same photos are never solved again.

A file each, in the cache folder; whatever cannot be read is solved again, and what was used least recently goes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from regraft.cache_dir import PROBES, cache_folder, files_by_use
from regraft.errors import ModelFileError
from regraft.training.state_format import read_state, write_state

MOST = 256
"""Solved probes that are kept."""

LARGEST = 4 << 20
"""Bytes of arrays in the largest that is: those of many photos would fill a disk, and their features take longer."""


def solved(key: str, solve: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what ``solve`` gives, or gave to an earlier run.

    Args:
        key: hexadecimal digits that change with everything that the solution depends on.
        solve: returns figures, texts, arrays, and lists and dicts of such.
    """
    path = cache_folder() / PROBES[0] / f"{key}.safetensors"
    try:
        known = dict(read_state(path)["value"])
        with contextlib.suppress(OSError):
            path.touch()
        return known
    except (ModelFileError, KeyError):  # not there yet, or damaged
        pass
    value = solve()
    if _bytes(value) > LARGEST:
        return value
    with contextlib.suppress(OSError):  # a disk that refuses means solving again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_state(path, {"value": value})
        for old in files_by_use(*PROBES)[:-MOST]:
            old.unlink()
    return value


def _bytes(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(_bytes(part) for part in value.values())
    return int(getattr(value, "nbytes", 0))
