"""Buffers that the forward pass changes, such as running statistics, merged over the shards of a batch.

Each shard starts from the buffers before the batch. Afterwards a buffer of real numbers is the mean of its values in
all shards, weighted by their samples and added in the fixed tree; any other buffer is that of the first shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from regraft.distributed.tree import fold


class ShardBuffers:
    """The buffers of the submodules in train mode, as each shard of one batch leaves them.

    Args:
        module: the module that is trained.
    """

    def __init__(self, module: nn.Module) -> None:
        owners = [(prefix, part) for prefix, part in module.named_modules() if part.training]
        self._places = {
            f"{prefix}.{name}": (part, name)
            for prefix, part in owners
            for name, buffer in part._buffers.items()
            if buffer is not None and not nn.parameter.is_lazy(buffer)
        }
        self._before = {key: part._buffers[name] for key, (part, name) in self._places.items()}

    @contextmanager
    def of_shard(self, changed: dict[str, Tensor]) -> Iterator[None]:
        """Run the block on copies of the buffers, and put those that it changes into ``changed``."""
        for key, (part, name) in self._places.items():
            buffer = self._before[key]
            part._buffers[name] = None if buffer is None else buffer.clone()
        try:
            yield
            for key, (part, name) in self._places.items():
                before, after = self._before[key], part._buffers[name]
                if before is not None and after is not None and not torch.equal(before, after):
                    changed[key] = after.detach()
        finally:
            for key, (part, name) in self._places.items():
                part._buffers[name] = self._before[key]

    @torch.no_grad()
    def merge(self, shards: Sequence[Mapping[str, Tensor]], sizes: Sequence[int]) -> None:
        """Set the buffers from those that the shards changed; ``sizes`` are the samples of each shard."""
        for key in sorted({key for shard in shards for key in shard}):
            part, name = self._places[key]
            buffer = part._buffers[name]
            assert buffer is not None
            values = [shard[key].to(buffer.device) if key in shard else buffer for shard in shards]
            buffer.copy_(_mean(values, sizes) if buffer.is_floating_point() else values[0])


def _mean(values: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    weighted = [_precise(value) * size for value, size in zip(values, sizes, strict=True)]

    def single(node: tuple[int, int]) -> Tensor | None:
        return weighted[node[0]] if node[1] - node[0] == 1 else None

    return fold((0, len(weighted)), single, torch.add) / sum(sizes)


def _precise(value: Tensor) -> Tensor:
    return value.float() if value.device.type == "mps" else value.double()
