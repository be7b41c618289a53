"""Weights as HDF5: a group for each module, a data set for each tensor.

A table of the tensors' places stands behind the end of the file, sealed with a checksum (`regraft.disk.hdf5_table`):
regraft reads by that table alone, and leaves HDF5's library to other programs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.disk.hdf5_table import read_hdf5_table
from regraft.disk.sealed import seal
from regraft.training.state_format import tensor_of_bytes

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
    found, metadata = read_hdf5_table(path)
    return {name: tensor_of_bytes(one.dtype, one.shape, one.data) for name, one in found.items()}, metadata
