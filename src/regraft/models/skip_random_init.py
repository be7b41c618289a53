"""Building a network without drawing random weights for it, where others are loaded right afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_RANDOM_FILLS = frozenset(
    {"uniform_", "kaiming_uniform_", "normal_", "erfinv_", "bernoulli_", "log_normal_", "exponential_"}
)


class _SkipRandomFills(TorchFunctionMode):
    """Leaves tensors as they are where torch would fill them with random numbers."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in _RANDOM_FILLS:
            filled = args[0] if args else (kwargs or {}).get("tensor")  # as torch.nn.init names it
            if isinstance(filled, torch.Tensor):
                return filled
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def skip_random_init(*, active: bool = True) -> Iterator[None]:
    """Skip random fills inside the block; drawing them is nine tenths of the time that a transformer takes to build.

    Parameters then hold whatever was in memory: each of them must be loaded before the network is used.
    """
    with _SkipRandomFills() if active else contextlib.nullcontext():
        yield
