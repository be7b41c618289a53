"""SHA-256 of tensors: equal if and only if names, dtypes, shapes and all bytes are equal."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch


def tensors_checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256, in hex, of ``tensors``, independent of their order, device and memory layout."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode("utf-8", "surrogatepass"))
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
