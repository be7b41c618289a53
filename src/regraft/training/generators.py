"""The generators of random numbers that a training may draw from: their states, taken and put back."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch


def generator_states(device: torch.device, own: Sequence[torch.Generator] = ()) -> dict[str, Any]:
    """Return the states of the global generators of torch, NumPy and Python, and of ``own`` ones.

    Args:
        device: where training runs; its generator counts too.
        own: further generators, such as a ``DataLoader``'s.
    """
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002 (users may draw from it)
    states: dict[str, Any] = {
        "cpu": torch.get_rng_state(),
        "python": (version, np.array(words, dtype=np.uint32), gauss),
        "numpy": (kind, np.array(keys), position, has_gauss, cached),
        "own": [generator.get_state() for generator in own],
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_generators(states: Mapping[str, Any], device: torch.device, own: Sequence[torch.Generator] = ()) -> None:
    """Put back what `generator_states` returned."""
    torch.set_rng_state(states["cpu"])
    version, words, gauss = states["python"]
    random.setstate((version, tuple(int(word) for word in words), gauss))
    np.random.set_state(states["numpy"])  # noqa: NPY002
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    if "mps" in states and device.type == "mps":
        torch.mps.set_rng_state(states["mps"])
    for generator, state in zip(own, states["own"], strict=False):
        generator.set_state(state)
