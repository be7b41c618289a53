"""The table of tensors behind an HDF5 file of weights: all that is needed to read one without HDF5's library.

HDF5 has no checksum over a file, and its library crashes, hangs or takes any amount of memory on a damaged one. So the
table says the place of each tensor, and is sealed with a checksum.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from regraft.disk.sealed import SealError, read_sealed
from regraft.disk.torch_file import ITEM_SIZES, Strided
from regraft.errors import ModelFileError


def read_hdf5_table(path: Path) -> tuple[dict[str, Strided], dict[str, str]]:
    """Return the tensors, each with bytes of its own in row-major order, and the texts of an HDF5 file of weights.

    Raises:
        ModelFileError: the file is damaged, or another program wrote it or changed it.
    """
    try:
        body, text = read_sealed(path)
        said = json.loads(text)
        tensors = {name: _tensor(body, *place) for name, place in _apart(said["tensors"]).items()}
        return tensors, dict(said["metadata"])
    except SealError as error:
        raise ModelFileError(f"{path} is damaged or no HDF5 file of weights: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged: its table of tensors cannot be: {repr(error)[:200]}") from error


def _apart(places: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Check that no two tensors share bytes, so that together they take no more memory than the file."""
    reached = 0
    for dtype, shape, begin in sorted(places.values(), key=lambda place: int(place[2])):
        size = math.prod(shape) * ITEM_SIZES[dtype]
        if any(n < 0 for n in shape) or begin < 0 or (size and begin < reached):
            raise ValueError("tensors overlap")
        reached = max(reached, begin + size)
    return places


def _tensor(body: memoryview, dtype: str, shape: list[int], begin: int) -> Strided:
    size = math.prod(shape) * ITEM_SIZES[dtype]
    if begin + size > len(body):
        raise ValueError("a tensor reaches beyond the file")
    strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    return Strided(dtype, tuple(shape), tuple(strides), memoryview(bytearray(body[begin : begin + size])))
