"""The suffixes of weight files, and the format of each."""

from __future__ import annotations

import os
from pathlib import PurePath

FORMATS = {
    ".safetensors": "safetensors",
    ".keras": "safetensors",
    ".weights.h5": "hdf5",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".pt": "torch",
    ".pth": "torch",
    ".pth.tar": "torch",
    ".ckpt": "torch",
    ".bin": "torch",
}
KINDS = ".safetensors (also .keras), .h5 (also .hdf5, .weights.h5) or .pt (also .pth, .pth.tar, .ckpt, .bin)"


def suffix_of(path: str | os.PathLike[str]) -> str | None:
    """Return the longest suffix in `FORMATS` that ``path`` ends with, in lower case; None if there is none."""
    name = os.path.basename(os.fspath(path)).lower()
    return max((s for s in FORMATS if name.endswith(s) and name != s), key=len, default=None)


def advice(path: str | os.PathLike[str]) -> str:
    """Return the valid suffixes and an example in place of ``path``, for the end of a message."""
    example = f"{os.fspath(path).removesuffix(PurePath(path).suffix) or 'model'}.safetensors"
    return f"the suffix is the format: {KINDS}; for example {example!r}"
