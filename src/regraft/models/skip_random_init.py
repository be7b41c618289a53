"""Networks without random initialization, for weights that are loaded right afterwards."""

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
    """Leaves tensors unchanged in torch's functions that fill them with random numbers."""

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
    """Skip random initialization inside the block, which takes nine tenths of the time to build a transformer.

    Parameters then contain arbitrary memory: load all of them before using the network.
    """
    with _SkipRandomFills() if active else contextlib.nullcontext():
        yield
