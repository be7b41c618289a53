"""The format of a saved training state: nested numbers, texts and tensors as flat tensors and one text of JSON."""

from __future__ import annotations

import base64
import copy
import json
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.disk.atomic import atomic
from regraft.disk.safetensors_file import Block, read_blocks, write_blocks
from regraft.errors import ModelFileError
from regraft.tensors import DTYPES

FORMAT, VERSION = "regraft-state", 2
MARK = "$"  # a dict with only this key encodes a value that JSON does not have

_CODES = {dtype: code for code, dtype in DTYPES.items()}


def flatten(state: Any, prefix: str, unchanging: set[str] | None = None) -> tuple[str, dict[str, Tensor]]:
    """Return ``state`` as JSON and its tensors by name; they are not copied.

    Args:
        state: dicts (keys text or whole numbers), lists, tuples, texts, bytes, numbers, booleans, None, tensors and
            arrays.
        prefix: prefix of the names of the tensors.
        unchanging: a set to which the names of read-only arrays are added.

    Raises:
        TypeError: ``state`` contains a value of another type.
    """
    tensors: dict[str, Tensor] = {}

    def put(value: Any) -> Any:
        if isinstance(value, (Tensor, np.ndarray)):
            name = f"{prefix}{len(tensors)}"
            tensor = value.detach() if isinstance(value, Tensor) else _from_array(value)
            kind = "tensor" if isinstance(value, Tensor) else "array"
            tensors[name] = tensor
            if unchanging is not None and isinstance(value, np.ndarray) and not value.flags.writeable:
                unchanging.add(name)
            return {MARK: [kind, name] if tensor.is_contiguous() else [kind, name, list(tensor.stride())]}
        if isinstance(value, np.generic):
            return put(value.item())
        if isinstance(value, Mapping):
            return {MARK: ["dict", [[put(key), put(one)] for key, one in value.items()]]}
        if isinstance(value, tuple):
            return {MARK: ["tuple", [put(one) for one in value]]}
        if isinstance(value, list):
            return [put(one) for one in value]
        if isinstance(value, bytes):
            return {MARK: ["bytes", base64.b64encode(value).decode()]}
        if isinstance(value, float) and not math.isfinite(value):
            return {MARK: ["float", str(value)]}
        if value is None or isinstance(value, (str, int, float)):
            return value
        raise TypeError(f"a state contains numbers, texts, lists, dicts and tensors, not a {type(value).__name__}")

    return json.dumps(put(state), ensure_ascii=False, allow_nan=False), tensors


def unflatten(text: str, tensors: Mapping[str, Tensor]) -> Any:
    """Return the state that `flatten` converted, with the original strides of its tensors.

    Raises:
        ModelFileError: ``text`` or ``tensors`` are invalid.
    """

    def get(value: Any) -> Any:
        if isinstance(value, list):
            return [get(one) for one in value]
        if not isinstance(value, dict):
            return value
        kind, content, *more = value[MARK]
        if kind == "tensor":
            return _laid_out(tensors[content], more)
        if kind == "array":
            return tensors[content].numpy()
        if kind == "dict":
            return {get(key): get(one) for key, one in content}
        if kind == "tuple":
            return tuple(get(one) for one in content)
        if kind == "bytes":
            return base64.b64decode(content, validate=True)
        if kind == "float":
            return float(content)
        raise ValueError(kind)

    try:
        return get(json.loads(text))
    except (KeyError, ValueError, TypeError, RuntimeError, RecursionError) as error:
        raise ModelFileError(f"the saved training state cannot be read: {repr(error)[:200]}") from error


def _from_array(array: np.ndarray[Any, Any]) -> Tensor:
    array = np.ascontiguousarray(array).reshape(array.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about read-only arrays; nothing writes to the tensor
        return torch.from_numpy(array)


def _laid_out(tensor: Tensor, more: list[Any]) -> Tensor:
    """Return ``tensor`` with the strides in ``more``, if there are any; other strides may change the rounding."""
    if not more:
        return tensor
    strides = [int(one) for one in more[0]]
    reach = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, strides, strict=True))
    if min(strides, default=1) < 1 or reach > tensor.numel():
        raise ValueError("strides reach beyond the tensor")
    return torch.empty_strided(tuple(tensor.shape), strides, dtype=tensor.dtype).copy_(tensor)


def write_state(path: str | os.PathLike[str], state: Mapping[str, Any], facts: Mapping[str, str] | None = None) -> None:
    """Write a state to ``path`` as safetensors with a checksum, completely or not at all.

    Args:
        path: the file.
        state: a state, as `flatten` takes it.
        facts: texts to write with it.

    Raises:
        OSError: the file cannot be written.
    """
    text, tensors = flatten(state, "")
    write_flat(Path(path), text, tensors, facts or {})


def write_flat(path: Path, text: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
    """Write the result of `flatten`, completely or not at all; contiguous tensors on the processor are not copied."""
    blocks = {name: block_of(tensor) for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        write_blocks(temporary, blocks, {**facts, "format": FORMAT, "version": str(VERSION), "state": text})


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the state that `write_state` wrote.

    Raises:
        ModelFileError: the file is missing, damaged or foreign, or a newer regraft wrote it.
    """
    return read_with_facts(path)[0]


def read_with_facts(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the state and the texts that `write_state` wrote.

    Raises:
        ModelFileError: the file is missing, damaged or foreign, or a newer regraft wrote it.
    """
    blocks, metadata = read_blocks(Path(path))
    if metadata.get("format") != FORMAT or "state" not in metadata:
        raise ModelFileError(f"{os.fspath(path)} is not a saved training state")
    if metadata.get("version") != str(VERSION):
        raise ModelFileError(
            f"{os.fspath(path)} is a state of version {metadata.get('version')}; this regraft reads version {VERSION}"
        )
    try:
        tensors = {name: tensor_of(block) for name, block in blocks.items()}
    except ModelFileError as error:
        raise ModelFileError(f"{os.fspath(path)} is damaged: {error}") from error
    blocks.clear()  # the next step may copy tensors; at most two copies of each are in memory
    state = unflatten(metadata.pop("state"), tensors)
    if not isinstance(state, dict):
        raise ModelFileError(f"{os.fspath(path)} is not a saved training state")
    return state, metadata


def block_of(tensor: Tensor) -> Block:
    """Return the bytes of a tensor; a contiguous tensor on the processor is not copied.

    Raises:
        TypeError: safetensors does not have its data type.
    """
    if tensor.dtype not in _CODES:
        raise TypeError(f"a state contains tensors of real and whole numbers, not of {tensor.dtype}")
    flat = tensor.cpu().contiguous().reshape(-1)
    return Block(_CODES[tensor.dtype], tuple(tensor.shape), flat.view(torch.uint8).numpy().data)


def tensor_of(block: Block) -> Tensor:
    """Return a block as a tensor with its own memory.

    Raises:
        ModelFileError: a state cannot contain its data type.
    """
    dtype = DTYPES.get(block.dtype)
    if dtype is None:
        raise ModelFileError(f"a saved state contains no tensors of type {block.dtype}")
    return tensor_of_bytes(str(dtype).removeprefix("torch."), block.shape, block.data)


def tensor_of_bytes(dtype: str, shape: tuple[int, ...], data: memoryview | bytes) -> Tensor:
    """Return bytes in row-major order as a tensor with its own memory.

    Args:
        dtype: torch's name of the data type, such as ``"float32"``.
        shape: its shape.
        data: its bytes.

    Raises:
        ModelFileError: the shape is too large for torch.
    """
    kind = getattr(torch, dtype)
    try:
        if not len(data):
            return torch.empty(shape, dtype=kind)
        return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(kind).reshape(shape)
    except RuntimeError as error:  # an empty shape whose other dimensions are too large
        raise ModelFileError(f"a tensor has the invalid shape {shape}") from error


def plain_state(holder: Any) -> dict[str, Any]:
    """Return copies of those attributes of an object without ``state_dict`` that a snapshot can contain."""
    return {name: copy.deepcopy(value) for name, value in vars(holder).items() if _is_plain(value)}


def load_plain_state(holder: Any, state: Mapping[str, Any]) -> None:
    """Restore the attributes that `plain_state` returned."""
    for name, value in state.items():
        attribute = getattr(holder, name, None)
        setattr(holder, name, tuple(value) if isinstance(attribute, tuple) else copy.deepcopy(value))


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(one) for one in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return value is None or isinstance(value, (bool, int, float, str, np.ndarray, Tensor))
