"""Weights as HDF5: a group for each module, a data set for each tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.errors import ModelFileError

METADATA = "regraft_metadata"
NAME = "name"
BFLOAT16 = "bfloat16"


def write_hdf5(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and texts. ``conv1.weight`` is the data set ``weight`` in the group ``conv1``.

    bfloat16, which HDF5 has not, is written as its bits (uint16) with the attribute ``dtype = "bfloat16"``.
    """
    import h5py

    with h5py.File(path, "w") as file:
        for name, tensor in tensors.items():
            own = tensor.detach().cpu().contiguous()
            bits = own.view(torch.int16).numpy().view(np.uint16) if own.dtype is torch.bfloat16 else own.numpy()
            dataset = file.create_dataset(name.replace(".", "/"), data=bits)
            dataset.attrs[NAME] = name
            if own.dtype is torch.bfloat16:
                dataset.attrs["dtype"] = BFLOAT16
        for name, text in metadata.items():  # as data sets: an attribute holds 64 KB at most
            file.create_dataset(f"{METADATA}/{name}", data=np.frombuffer(text.encode(), dtype=np.uint8))


def read_hdf5(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and texts that `write_hdf5` wrote.

    Raises:
        ModelFileError: the file is no HDF5, or another program's.
    """
    import h5py

    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if name.startswith(f"{METADATA}/"):
            metadata[name.removeprefix(f"{METADATA}/")] = bytes(item[()]).decode()
        elif NAME in item.attrs:
            tensors[str(item.attrs[NAME])] = _tensor(item)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    if not tensors:
        raise ModelFileError(f"{path} holds no weights that regraft wrote")
    return tensors, metadata


def _tensor(item: Any) -> Tensor:
    array = np.array(item[()])
    if item.attrs.get("dtype") == BFLOAT16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array) if array.ndim else torch.tensor(array.item(), dtype=_scalar_type(array))


def _scalar_type(array: Any) -> torch.dtype:
    return torch.from_numpy(array.reshape(1)).dtype
