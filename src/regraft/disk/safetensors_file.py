"""Safetensors files of tensors and texts that are whole or known to be damaged, by a checksum over all of it.

safetensors has no checksum of its own, and its Python writer makes a second copy of every tensor; here the bytes go to
the disk as they lie in memory. Its reader, ``safe_open``, takes 1.2 GB and 10 seconds for a header of 86 MB, calls a
truncated file and one that is too long "incomplete metadata", and needs torch for bfloat16. Here the header is bounded
and checked before anything of the size that it claims is allocated, and a message says how the file is damaged.
Format: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.errors import ModelFileError

MOST_HEADER = 16 << 20
"""Bytes of the longest header that is read; a network of 10,000 tensors needs about 1 MB."""

SIMPLE = 3 << 18
"""Bytes of a header of 15,000 tensors, without its quoted texts; 3 bytes of JSON can take 64 bytes of memory."""

_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)

ITEM_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


@dataclass(frozen=True)
class TensorEntry:
    """The entry of one tensor in the header.

    Attributes:
        dtype: data type, such as ``"F32"``.
        shape: its shape.
        begin: offset of its first byte, counted from the end of the header.
        end: offset behind its last byte.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """The header of a safetensors file.

    Attributes:
        metadata: free text by key.
        tensors: entry of each tensor, by its name.
        data_begins: offset of the tensors' bytes in the file.
    """

    metadata: dict[str, str]
    tensors: dict[str, TensorEntry]
    data_begins: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor, by its name."""
        return {name: tensor.shape for name, tensor in self.tensors.items()}


class HeaderError(ValueError):
    """The file is not a safetensors file, or is damaged; the message says why, without the file's name."""


def read_header(path: Path) -> Header:
    """Read and check the header of the safetensors file at ``path``; none of its tensors is read.

    Format: https://huggingface.co/docs/safetensors, "Format".

    Raises:
        HeaderError: the file is damaged, truncated, or something else.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise HeaderError(f"{size} bytes are too few" if size else "the file is empty")
        length = int.from_bytes(start, "little")
        brace = file.read(1)
        if length > MOST_HEADER or length < 2 or brace not in (b"{", b""):
            raise HeaderError(_name_format(start))
        if length > size - 8:
            raise HeaderError(f"it ends within its header, after {size - 8:,} of {length:,} bytes")
        raw = brace + file.read(length - 1)
    values = _parse(raw)
    metadata = values.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise HeaderError("its metadata is not text")
    return Header(metadata, _tensors(values, size - 8 - length), 8 + length)


def _parse(raw: bytes) -> dict[str, Any]:
    if len(raw) > SIMPLE and len(raw) - sum(text.end() - text.start() - 2 for text in _TEXT.finditer(raw)) > SIMPLE:
        raise HeaderError("its header is longer than its tensors need")
    try:
        values = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise HeaderError("its header is not JSON") from error
    assert isinstance(values, dict)  # it begins with a brace
    return values


def _tensors(entries: dict[str, Any], available: int) -> dict[str, TensorEntry]:
    """Return the entries, after checking that the tensors follow one another and fill the file."""
    tensors = {name: _entry(name, entry) for name, entry in entries.items()}
    reached = 0
    for begin, end in sorted((tensor.begin, tensor.end) for tensor in tensors.values()):
        if begin != reached:
            raise HeaderError(f"its tensors overlap or leave a gap at byte {reached:,}")
        reached = end
    if reached > available:
        raise HeaderError(f"truncated: it has {available:,} of {reached:,} bytes of tensors")
    if reached < available:
        raise HeaderError(f"{available - reached:,} extra bytes follow its tensors")
    return tensors


def _entry(name: str, entry: Any) -> TensorEntry:
    if not isinstance(entry, dict):
        raise HeaderError(f"tensor {name!r} has an invalid entry")
    shape, offsets = _counts(entry.get("shape")), _counts(entry.get("data_offsets"))
    dtype = str(entry.get("dtype"))
    size = ITEM_SIZES.get(dtype)
    if shape is None or offsets is None or len(offsets) != 2 or size is None:
        raise HeaderError(f"tensor {name!r} has an invalid dtype, shape or offset")
    if offsets[1] - offsets[0] != math.prod(shape) * size:
        raise HeaderError(f"tensor {name!r} of shape {shape} does not match its offsets")
    return TensorEntry(dtype, shape, offsets[0], offsets[1])


def _counts(values: Any) -> tuple[int, ...] | None:
    valid = isinstance(values, list) and len(values) <= 16 and all(type(v) is int and 0 <= v < 1 << 62 for v in values)
    return tuple(values) if valid else None


def _name_format(start: bytes) -> str:
    """Return a message that names the format of a file by its first bytes."""
    formats = {
        b"PK": "a zip archive, as torch.save writes it",
        b"\x80": "a pickle, as torch.save once wrote it",
        b"\x89HDF": "an HDF5 file, as Keras writes it",
        b"\x89PNG": "a PNG image",
        b"\xff\xd8": "a JPEG image",
    }
    for signature, name in formats.items():
        if start.startswith(signature):
            return f"it is {name}, not a safetensors file"
    return "it is not a safetensors file"


CHECKSUM = "sha256"


@dataclass(frozen=True)
class Block:
    """The bytes of one tensor.

    Attributes:
        dtype: as safetensors names it, such as ``"F32"``.
        shape: its shape.
        data: its bytes in row-major order.
    """

    dtype: str
    shape: tuple[int, ...]
    data: memoryview | bytes


def write_blocks(path: Path, blocks: Mapping[str, Block], metadata: Mapping[str, str]) -> None:
    """Write tensors and texts to ``path``, with a checksum. Inside `atomic`, the file is whole or absent.

    Raises:
        OSError: the file cannot be written.
    """
    ordered = dict(sorted(blocks.items(), key=lambda item: (-ITEM_SIZES[item[1].dtype], item[0])))
    described: dict[str, Any] = {"__metadata__": {**metadata, CHECKSUM: checksum(ordered, metadata)}}
    reached = 0
    for name, block in ordered.items():
        size = math.prod(block.shape) * ITEM_SIZES[block.dtype]
        described[name] = {"dtype": block.dtype, "shape": list(block.shape), "data_offsets": [reached, reached + size]}
        reached += size
    header = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    header += b" " * (-len(header) % 8)
    with path.open("wb", buffering=0) as file:
        _write_all(file, len(header).to_bytes(8, "little") + header)
        for block in ordered.values():
            _write_all(file, block.data)


def read_blocks(path: Path, *, foreign: bool = False) -> tuple[dict[str, Block], dict[str, str]]:
    """Return the tensors and texts of a file that `write_blocks` wrote.

    The sizes in the header are checked before memory is allocated, and the whole content against the checksum.

    Args:
        path: the file.
        foreign: also accept a safetensors file without a checksum, if another program wrote it.

    Raises:
        ModelFileError: the file is missing, damaged, or has another format; the message says which.
    """
    try:
        header = read_header(path)
        with path.open("rb") as file:
            data = memoryview(file.read())
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file") from None
    except HeaderError as error:
        raise ModelFileError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error
    metadata = dict(header.metadata)
    claimed = metadata.pop(CHECKSUM, None)
    body = data[header.data_begins :]
    blocks = {
        name: Block(tensor.dtype, tensor.shape, body[tensor.begin : tensor.end])
        for name, tensor in header.tensors.items()
    }
    if claimed is None and foreign and not metadata.get("format", "").startswith("regraft"):
        return blocks, metadata
    if claimed is None:
        raise ModelFileError(f"{path} is damaged, or was not written by regraft: it has no checksum")
    if claimed != checksum(blocks, metadata):
        raise ModelFileError(f"{path} is damaged: its content does not match its checksum")
    return blocks, metadata


def checksum(blocks: Mapping[str, Block], metadata: Mapping[str, str]) -> str:
    """Return the SHA-256, in hexadecimal digits, of all names, types, shapes, bytes and texts."""
    digest = hashlib.sha256()
    for key in sorted(metadata):
        for part in (key, metadata[key]):
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "little") + raw)
    for name in sorted(blocks):
        block = blocks[name]
        raw = json.dumps([name, block.dtype, list(block.shape)]).encode()
        digest.update(len(raw).to_bytes(8, "little") + raw)
        digest.update(block.data)
    return digest.hexdigest()


def _write_all(file: Any, data: memoryview | bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
