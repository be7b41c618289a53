"""HDF5 files of weights: a group for each module, a data set for each tensor, and a checksum at the end.

h5py writes and reads them. HDF5's library can crash, hang or take any amount of memory on a damaged file. So a child
process with limits on its time and memory reads the file, and returns the tensors in a safetensors file.
"""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from regraft.disk.safetensors_file import Block, read_blocks, write_blocks
from regraft.disk.sealed import NotSealedError, SealError, read_sealed, seal
from regraft.errors import ModelFileError

METADATA = "regraft_metadata"
"""Group of the texts, one data set each; an attribute can contain only 64 KB."""

NAME = "name"
"""Attribute of a data set: the name of the tensor."""

BFLOAT16 = "bfloat16"
MEMORY = 4 << 30
"""Bytes of address space that the child may use, in addition to four times the size of the file."""

COMPRESSION = 20
"""Largest accepted ratio of the tensors' bytes to the file's; trained weights hardly compress at all."""

UNUSABLE = 2
"""Exit code of the child if the file is not damaged, but cannot be used."""

_TYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "float16": "F16", "uint32": "U32",
    "int32": "I32", "float32": "F32", "uint64": "U64", "int64": "I64", "float64": "F64",
}  # fmt: skip
_DTYPES = {name: dtype for dtype, name in _TYPES.items()} | {"BF16": "uint16"}
_OF_KERAS = re.compile(r"(^|/)vars/\d+$|^model_weights/")


def write_hdf5(path: Path, blocks: Mapping[str, Block], metadata: Mapping[str, str]) -> None:
    """Write tensors and texts. ``conv1.weight`` is the data set ``weight`` in the group ``conv1``.

    HDF5 has no bfloat16: its bits are written as uint16, with the attribute ``dtype = "bfloat16"``.

    Raises:
        OSError: the file cannot be written.
    """
    import h5py

    with h5py.File(path, "w") as file:
        for name, block in blocks.items():
            values = np.frombuffer(block.data, dtype=_DTYPES[block.dtype]).reshape(block.shape)
            dataset = file.create_dataset(name.replace(".", "/"), data=values)
            dataset.attrs[NAME] = name
            if block.dtype == "BF16":
                dataset.attrs["dtype"] = BFLOAT16
        for name, text in metadata.items():
            file.create_dataset(f"{METADATA}/{name}", data=np.frombuffer(text.encode(), dtype=np.uint8))
    seal(path, "")


def read_hdf5(path: Path) -> tuple[dict[str, Block], dict[str, str]]:
    """Return the tensors by name, and the texts, of an HDF5 file that regraft or another program wrote.

    A file of another program has no checksum. The path of a data set is the name of its tensor: ``conv1/weight`` is
    ``conv1.weight``.

    Raises:
        ModelFileError: the file is damaged, was changed after regraft wrote it, contains more than numbers, or Keras
            wrote it.
    """
    sealed = True
    try:
        read_sealed(path)
    except NotSealedError:
        sealed = False
    except SealError as error:
        raise ModelFileError(f"{path} is damaged: {error}") from error
    with tempfile.TemporaryDirectory(prefix="regraft-") as folder:
        copy = Path(folder) / "weights.safetensors"
        _convert_in_child(path, copy)
        blocks, metadata = read_blocks(copy)
    if not sealed and metadata:
        raise ModelFileError(f"{path} is damaged, or was changed by another program: its checksum is missing")
    return blocks, metadata


def _convert_in_child(path: Path, copy: Path) -> None:
    # the child imports the same modules, whatever the working directory contains
    places = [str(place) for place in sys.path]
    code = (
        f"import sys; sys.path[:] = {places!r}\n"
        f"from regraft.disk.hdf5_file import convert_to_safetensors as convert; convert({str(path)!r}, {str(copy)!r})"
    )
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # each thread would use address space
    child = subprocess.run(  # noqa: S603  (our own interpreter and code)
        [sys.executable, "-c", code], capture_output=True, env=os.environ | one_thread, check=False
    )
    if child.returncode == 0:
        return
    lines = child.stderr.decode("utf-8", "replace").strip().splitlines()
    if child.returncode == UNUSABLE:
        raise ModelFileError(f"{path} cannot be loaded: {lines[-1]}")
    reason = lines[-1] if lines else f"HDF5's library ended its process ({_signal_name(-child.returncode)})"
    raise ModelFileError(f"{path} is damaged, or not an HDF5 file of weights: {reason}")


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in list(signal.Signals) else f"exit code {-number}"


def convert_to_safetensors(source: str, copy: str) -> None:
    """Write the tensors and texts of the HDF5 file ``source`` to a new file ``copy``; run in the child process.

    Raises:
        SystemExit: with the code `UNUSABLE` if the file cannot be used, 1 if it is damaged; the last line of standard
            error is the reason.
    """
    size = Path(source).stat().st_size
    _limit(size)
    import h5py

    try:
        with h5py.File(source, "r") as file:
            blocks, metadata = _content(h5py, file, size)
    except _UnusableError as error:
        _exit(UNUSABLE, str(error))
    except Exception as error:  # noqa: BLE001  (a damaged file can raise almost anything)
        _exit(1, " ".join(str(error).split()) or type(error).__name__)
    try:
        write_blocks(Path(copy), blocks, metadata)
    except OSError as error:
        _exit(UNUSABLE, f"its tensors could not be copied to {Path(copy).parent}: {error.strerror}")


def _exit(code: int, reason: str) -> NoReturn:
    print(reason, file=sys.stderr)  # noqa: T201  (the parent process reads it)
    sys.exit(code)


class _UnusableError(ValueError):
    """The file is HDF5, but does not contain weights of a torch module; the message says what it contains."""


def _limit(size: int) -> None:
    """Limit the memory and the processor time of this process, if the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, most in ((resource.RLIMIT_AS, MEMORY + 4 * size), (resource.RLIMIT_CPU, 60 + size // 10_000_000)):
        soft, hard = resource.getrlimit(kind)
        bounds = [most, *(one for one in (soft, hard) if one != resource.RLIM_INFINITY)]
        resource.setrlimit(kind, (min(bounds), hard))


def _content(h5py: Any, file: Any, size: int) -> tuple[dict[str, Block], dict[str, str]]:
    datasets: dict[str, Any] = {}
    file.visititems(lambda path, one: datasets.update({path: one}) if isinstance(one, h5py.Dataset) else None)
    if "layer_names" in file.attrs or any(_OF_KERAS.search(path) for path in datasets):
        raise _UnusableError(
            "Keras wrote it, and its layers have other names and shapes than those of a torch module; copy the weights "
            "in Python, layer by layer, and save them with torch.save(module.state_dict(), FILE)"
        )
    claimed = sum(one.dtype.itemsize * math.prod(one.shape or ()) for one in datasets.values())
    if claimed > COMPRESSION * size + (1 << 20):
        raise _UnusableError(f"its data sets claim {claimed:,} bytes, more than {COMPRESSION} times the file's")
    blocks: dict[str, Block] = {}
    metadata: dict[str, str] = {}
    for path, dataset in datasets.items():
        if path.startswith(f"{METADATA}/"):
            metadata[path.removeprefix(f"{METADATA}/")] = bytes(dataset[()]).decode()
        else:
            name, block = _block(path, dataset)
            blocks[name] = block
    return blocks, metadata


def _block(path: str, dataset: Any) -> tuple[str, Block]:
    if dataset.shape is None or dataset.dtype.name not in _TYPES:
        raise _UnusableError(f"its data set {path} contains {dataset.dtype}; expected real or whole numbers")
    if dataset.external or dataset.is_virtual:
        raise _UnusableError(f"its data set {path} refers to other files")
    values = np.ascontiguousarray(dataset[()]).astype(dataset.dtype.newbyteorder("<"), copy=False)
    dtype = "BF16" if dataset.attrs.get("dtype") == BFLOAT16 else _TYPES[dataset.dtype.name]
    name = dataset.attrs.get(NAME, path.replace("/", "."))
    return str(name), Block(dtype, tuple(dataset.shape), values.tobytes())
