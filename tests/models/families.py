"""The smallest network of each of timm's modules."""

from __future__ import annotations

from functools import cache

import torch

from regraft.models.catalogue import parameter_counts
from regraft.models.timm_import import import_timm
from regraft.models.zoo import create_network


@cache
def smallest_of_each() -> list[str]:
    timm, counts = import_timm(), parameter_counts()
    found = []
    for module in timm.list_modules():
        names = [name for name in timm.list_models(module=module) if name in counts]
        if names:
            found.append(min(names, key=counts.__getitem__))
    return found


@cache
def without_memory(name: str) -> torch.nn.Module:
    """Build a network on torch's meta device: shapes, but no numbers."""
    with torch.device("meta"):
        return create_network(name, random_init=False).eval()
