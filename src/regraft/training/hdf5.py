"""Weights as HDF5: a group for each module, a data set for each tensor.

HDF5 has no checksum over a file, and its library crashes, hangs or takes any amount of memory on a damaged one. So a
table of where each tensor lies stands behind the end of the file, sealed with a checksum: regraft reads by that table
alone, and leaves the library to other programs.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.disk.sealed import SealError, read_sealed, seal
from regraft.disk.torch_file import ITEM_SIZES
from regraft.errors import ModelFileError
from regraft.training.state_tree import tensor_of_bytes

METADATA = "regraft_metadata"
NAME = "name"
BFLOAT16 = "bfloat16"


def write_hdf5(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and texts. ``conv1.weight`` is the data set ``weight`` in the group ``conv1``.

    bfloat16, which HDF5 has not, is written as its bits (uint16) with the attribute ``dtype = "bfloat16"``.
    """
    import h5py

    table: dict[str, list[Any]] = {}
    with h5py.File(path, "w") as file:
        for name, tensor in tensors.items():
            own = tensor.detach().cpu().contiguous()
            bits = own.view(torch.int16).numpy().view(np.uint16) if own.dtype is torch.bfloat16 else own.numpy()
            dataset = file.create_dataset(name.replace(".", "/"), data=bits)
            dataset.attrs[NAME] = name
            if own.dtype is torch.bfloat16:
                dataset.attrs["dtype"] = BFLOAT16
            begin = dataset.id.get_offset() or 0  # None where it holds nothing
            table[name] = [str(own.dtype).removeprefix("torch."), list(own.shape), begin]
        for name, text in metadata.items():  # as data sets: an attribute holds 64 KB at most
            file.create_dataset(f"{METADATA}/{name}", data=np.frombuffer(text.encode(), dtype=np.uint8))
    seal(path, json.dumps({"tensors": table, "metadata": metadata}))


def read_hdf5(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and texts that `write_hdf5` wrote; the library of HDF5 is not called.

    Raises:
        ModelFileError: the file is damaged, or another program wrote it or changed it.
    """
    try:
        body, text = read_sealed(path)
        said = json.loads(text)
        tensors = {name: _tensor(body, *place) for name, place in _apart(said["tensors"]).items()}
        metadata = dict(said["metadata"])
    except SealError as error:
        raise ModelFileError(f"{path} is damaged or no HDF5 file of weights: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged: its table of tensors cannot be: {repr(error)[:200]}") from error
    return tensors, metadata


def _apart(places: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Check that no two tensors share bytes, so that together they take no more memory than the file."""
    reached = 0
    for dtype, shape, begin in sorted(places.values(), key=lambda place: int(place[2])):
        size = math.prod(shape) * ITEM_SIZES[dtype]
        if any(n < 0 for n in shape) or begin < 0 or (size and begin < reached):
            raise ValueError("tensors overlap")
        reached = max(reached, begin + size)
    return places


def _tensor(body: memoryview, dtype: str, shape: list[int], begin: int) -> Tensor:
    size = math.prod(shape) * ITEM_SIZES[dtype]
    if begin + size > len(body):
        raise ValueError("a tensor reaches beyond the file")
    return tensor_of_bytes(dtype, tuple(shape), body[begin : begin + size])
