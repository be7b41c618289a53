"""A reader of ``torch.save`` files that does not need torch: it returns tensors, numbers and texts, and runs no code.

Such a file is a zip archive. Its pickle describes the objects, and further records contain the bytes of the tensors.
This reader accepts pickles of tensors and plain containers only, and checks every size against the file and every
record against its CRC-32. ``torch.load(weights_only=True)`` runs no code either, but is not enough. Measured with torch
2.13 by `benchmarks/torch_load.py`:

- a bit that flipped in the weights is not noticed, because CRC-32 is not checked;
- with ``mmap=True`` a tensor may reach beyond its record, into the bytes behind it;
- a file of 500 bytes takes 2 GB, and a nested key of a dict takes twice the time for each 5 bytes more.

Python's own unpickler, ``pickle._Unpickler``, is private; `tests/disk/test_torch_file.py` says which versions of Python
have been checked. Format: https://docs.pytorch.org/docs/stable/notes/serialization.html and Python's ``pickletools``.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_PICKLE = 16 << 20
"""Size in bytes of the longest pickle that is read; a network of 10,000 tensors needs about 2 MB."""

ITEM_SIZES = {
    "bool": 1, "uint8": 1, "int8": 1, "float8_e4m3fn": 1, "float8_e5m2": 1, "float16": 2, "bfloat16": 2, "int16": 2,
    "uint16": 2, "float32": 4, "int32": 4, "uint32": 4, "float64": 8, "int64": 8, "uint64": 8, "complex64": 8,
    "complex128": 16,
}  # fmt: skip
_STORAGES = {
    "BoolStorage": "bool", "ByteStorage": "uint8", "CharStorage": "int8", "ShortStorage": "int16",
    "IntStorage": "int32", "LongStorage": "int64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "FloatStorage": "float32", "DoubleStorage": "float64", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "UntypedStorage": "uint8",
}  # fmt: skip
_OPCODES = (
    pickle.PROTO, pickle.STOP, pickle.MARK, pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.EMPTY_TUPLE, pickle.NONE,
    pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT,
    pickle.BINUNICODE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.APPEND, pickle.APPENDS,
    pickle.SETITEM, pickle.SETITEMS, pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET,
    pickle.GLOBAL, pickle.REDUCE, pickle.BUILD, pickle.BINPERSID,
)  # fmt: skip
_CONTAINERS = (pickle.MARK, pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.TUPLE, pickle.REDUCE)


class TorchFileError(ValueError):
    """The file is damaged, or not written by ``torch.save``; the message says which, without the file's name."""


class MoreThanTensorsError(TorchFileError):
    """The file names functions or types other than those of tensors and containers; loading them would run code."""


WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model", "net", "network", "weights")
"""Keys under which training scripts save the weights next to other values; the averaged weights come first."""


@dataclass(frozen=True)
class StridedTensor:
    """A tensor, as a view of the bytes of a storage.

    Attributes:
        dtype: torch's name of the data type, such as ``"float32"``.
        shape: its shape.
        strides: number of items from one index to the next, by dimension.
        data: the bytes of the storage, beginning with the first item; writable, and shared by tensors of one storage.
    """

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    data: memoryview


class _Named(str):
    """The name of a type in the pickle."""

    __slots__ = ()


def is_archive(path: Path) -> bool:
    """Return whether the file is a zip archive, as ``torch.save`` has written since 2020."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def read_torch_file(path: Path) -> Any:
    """Return the saved object, with each tensor as a `StridedTensor`, and data types as their names.

    Raises:
        MoreThanTensorsError: the file names functions or types other than those of tensors and plain containers.
        TorchFileError: the file is damaged, or has another format.
        OSError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = _Records(archive, path.stat().st_size)
            return _Reader(records).load()
    except TorchFileError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise TorchFileError(str(error) or "it ends too early") from error
    except OSError as error:
        if error.errno in (None, 22):  # an offset before the beginning of the file
            raise TorchFileError("its directory is damaged") from error
        raise
    except Exception as error:  # a damaged pickle can ask for almost anything
        raise TorchFileError(f"its pickle is damaged ({type(error).__name__})") from error


def unwrap_state_dict(content: Any) -> Any:
    """Return the tensors by name, taken out of the dicts that training scripts wrap them in.

    Lightning saves ``{"state_dict": ...}``, timm's script ``{"state_dict": ..., "state_dict_ema": ...}``, many others
    ``{"model": ...}``. Content without any of `WRAPPERS` is returned as it is.
    """
    for _ in range(4):
        if not isinstance(content, dict):
            break
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), None)
        if inner is None:
            break
        content = inner
    return content


class _Records:
    """The records of the archive; together they are at most as large as the file."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.size = size
        self._archive = archive
        self._left = size
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise TorchFileError("it is a zip archive, but torch.save did not write it")
        self._folder = pickles[0].removesuffix("data.pkl")

    def read(self, name: str, most: int | None = None) -> bytes:
        try:
            info = self._archive.getinfo(self._folder + name)
        except KeyError:
            raise TorchFileError(f"its record {name} is missing") from None
        plain = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
        if not plain or info.file_size > self._left or (most is not None and info.file_size > most):
            raise TorchFileError(f"its record {name} has an invalid size")
        self._left -= info.file_size
        data = self._archive.read(info)
        if len(data) != info.file_size:
            raise TorchFileError(f"its record {name} is cut off")
        return data


_Unpickler: Any = vars(pickle)["_Unpickler"]  # written in Python; the one in C allocates any memory that a pickle names


class _Reader(_Unpickler):  # type: ignore[misc]
    """An unpickler of tensors and plain containers; all other names are refused."""

    def __init__(self, records: _Records) -> None:
        super().__init__(io.BytesIO(records.read("data.pkl", MOST_PICKLE)))
        self._records = records
        self._storages: dict[str, memoryview] = {}
        self._containers_left = 50_000 + records.size // 64

    def persistent_load(self, pid: Any) -> tuple[str, memoryview]:
        kind, storage, key, _, count = pid
        dtype = _STORAGES.get(storage.rpartition(".")[2]) if isinstance(storage, _Named) else None
        if kind != "storage" or dtype is None or type(key) is not str or not key.isalnum():
            raise TorchFileError("its pickle names an invalid storage")
        if key not in self._storages:
            self._storages[key] = memoryview(bytearray(self._records.read(f"data/{key}")))
        data = self._storages[key]
        if type(count) is not int or count < 0 or count * ITEM_SIZES[dtype] > len(data):
            raise TorchFileError(f"its record data/{key} is shorter than its tensors")
        return dtype, data[: count * ITEM_SIZES[dtype]]

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in _MAKERS:
            return _MAKERS[full]
        if module in ("torch", "torch.storage") and (name in _STORAGES or name in ITEM_SIZES):
            return _Named(full)
        raise MoreThanTensorsError(f"it contains more than tensors, such as {full}, which is not loaded or run")

    def count(self) -> None:
        """Count a container: one byte of a pickle makes a container of many bytes in memory."""
        self._containers_left -= 1
        if self._containers_left < 0:
            raise TorchFileError("its pickle contains more containers than its tensors need")

    def set_items(self) -> None:
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._set_item(key, value)

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_item(key, value)

    def _set_item(self, key: Any, value: Any) -> None:
        if not isinstance(key, (str, int, float)) or not isinstance(self.stack[-1], dict):
            raise TorchFileError("its pickle has invalid keys")  # the hash of a nested key can take forever
        self.stack[-1][key] = value

    def build(self) -> None:
        self.stack.pop()  # attributes, such as the versions in a state_dict, are ignored


def _counted(step: Callable[[Any], None]) -> Callable[[_Reader], None]:
    def run(reader: _Reader) -> None:
        reader.count()
        step(reader)

    return run


def _dispatch() -> dict[int, Callable[[Any], None]]:
    steps = {code[0]: _Unpickler.dispatch[code[0]] for code in _OPCODES}
    steps |= {code[0]: _counted(steps[code[0]]) for code in _CONTAINERS}
    added = {pickle.SETITEM: _Reader.set_item, pickle.SETITEMS: _Reader.set_items, pickle.BUILD: _Reader.build}
    return steps | {code[0]: step for code, step in added.items()}


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> StridedTensor:
    dtype, data = storage
    if len(more) > 2 and isinstance(more[2], _Named):  # the type of an untyped storage
        dtype = more[2].removeprefix("torch.")
    size, counts = ITEM_SIZES[dtype], (offset, *shape, *strides)
    if len(shape) != len(strides) or len(shape) > 16 or not all(type(n) is int and 0 <= n < 1 << 62 for n in counts):
        raise TorchFileError("a tensor has an invalid shape or offset")
    reach = offset + 1 + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if 0 in shape:
        reach = offset
    if reach * size > len(data) or math.prod(shape) * size > max(len(data), size):
        raise TorchFileError(f"a tensor of shape {tuple(shape)} does not fit into its record")
    return StridedTensor(dtype, tuple(shape), tuple(strides), data[offset * size :])


def _first(value: Any, *more: Any) -> Any:
    return value


def _empty_dict() -> dict[str, Any]:
    return {}


_MAKERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _empty_dict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "collections.Counter": _first,
    "builtins.set": _first,
    "torch.Size": _first,
    "torch.device": _first,
}
_Reader.dispatch = _dispatch()
