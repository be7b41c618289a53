"""One file of tensors and text that is whole or known not to be: safetensors with a checksum over all that it says.

safetensors has no checksum of its own, and its Python writer makes a second copy of every tensor. Here the bytes go to
the disk as they lie in memory. Format: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.disk.safetensors_header import ITEM_SIZES, HeaderError, read_header
from regraft.errors import ModelFileError

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
    """Write tensors and texts to ``path``, with a checksum; for a file that is whole or absent, inside `atomic`.

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

    What the file claims about its size is checked before memory is taken, and all of it against the checksum.

    Args:
        path: the file.
        foreign: take a safetensors file that has no checksum too, if somebody else wrote it.

    Raises:
        ModelFileError: it is missing, damaged, or something else; the message says how.
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
        raise ModelFileError(f"{path} is damaged: its content does not fit its checksum")
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
