"""Tensors by name: their checksum, the differences between two state dicts, and tensors rebuilt from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import torch

from regraft.disk.torch_file import StridedTensor

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32,
    "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64,
    "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64,
}  # fmt: skip
"""torch's dtypes by their names in safetensors files; those that regraft reads and writes."""

_MAX_LINES = 12  # maximum number of differences to list per kind


def tensors_checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256, in hex, of ``tensors``, independent of their order, device and memory layout.

    It is equal if and only if names, dtypes, shapes and all bytes are equal.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode("utf-8", "surrogatepass"))
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def state_dict_mismatches(
    expected: Mapping[str, torch.Tensor],
    found: Mapping[str, torch.Tensor],
    *,
    optional: Callable[[str], bool] = lambda _: False,
) -> list[str]:
    """Return the differences between two state dicts, one line each, at most 12 of a kind.

    Args:
        expected: tensors by name.
        found: tensors by name.
        optional: returns whether a tensor of this name may be missing or additional.

    Returns:
        Lines on tensors of another shape, then on missing and on unexpected ones.
    """
    shapes = [
        f"{name}: expected shape {_shape(expected[name])}, found {_shape(found[name])}"
        for name in expected
        if name in found and expected[name].shape != found[name].shape
    ]
    missing = [
        f"{name}: missing, expected shape {_shape(expected[name])}"
        for name in expected
        if name not in found and not optional(name)
    ]
    unexpected = [
        f"{name}: unexpected, shape {_shape(found[name])}"
        for name in found
        if name not in expected and not optional(name)
    ]
    return [line for kind in (shapes, missing, unexpected) for line in _bounded(kind)]


def strided_tensor(stored: StridedTensor) -> torch.Tensor:
    """Return a tensor of a file of ``torch.save`` in its original memory layout, without a copy."""
    dtype = getattr(torch, stored.dtype)
    if 0 in stored.shape:
        return torch.empty_strided(stored.shape, stored.strides, dtype=dtype)
    return torch.frombuffer(stored.data, dtype=torch.uint8).view(dtype).as_strided(stored.shape, stored.strides)


def _shape(value: torch.Tensor) -> str:
    return str(tuple(value.shape))


def _bounded(lines: list[str]) -> list[str]:
    more = len(lines) - _MAX_LINES
    return lines if more <= 0 else [*lines[:_MAX_LINES], f"… and {more:,} more of this kind"]
