"""Gradients of the shards of a batch: one vector per shard, added over all processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from regraft.distributed.shards import Sharding
from regraft.distributed.sums import sum_in_tree
from regraft.distributed.tree import Node, cover, fold, share
from regraft.distributed.world import World
from regraft.errors import TrainingError

Gradients = Sequence[Tensor | None]


class GradientVector:
    """Gradients of parameters of one number format as one vector, followed by a mark for each that has a gradient.

    A parameter that no shard uses has no gradient, so that the optimizer skips it.

    Args:
        parameters: the parameters.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self._sizes = [p.numel() for p in parameters]

    def empty(self) -> Tensor:
        """Return the vector of no gradients."""
        return self.parameters[0].new_zeros(sum(self._sizes) + len(self._sizes))

    def of_shard(self, gradients: Gradients) -> list[Tensor]:
        """Return the gradients of one shard, zeros where there are none, and their marks."""
        if any(g is not None and g.is_sparse for g in gradients):
            raise TrainingError(
                "a parameter has a sparse gradient, which virtual shards cannot add; expected dense gradients\n"
                "  use nn.Embedding(..., sparse=False)"
            )
        marks = self.parameters[0].new_tensor([float(g is not None) for g in gradients])
        pairs = zip(self.parameters, gradients, strict=True)
        return [torch.zeros_like(p) if g is None else g for p, g in pairs] + [marks]

    def of(self, gradients: Sequence[Tensor]) -> Tensor:
        """Return the vector of gradients and marks, as `of_shard` returns them for a shard."""
        return torch.cat([gradient.reshape(-1) for gradient in gradients])

    def add_to_parameters(self, vector: Tensor) -> None:
        """Add the gradients in ``vector`` to those of the parameters."""
        *values, marks = torch.split(vector, [*self._sizes, len(self._sizes)])
        for parameter, value, mark in zip(self.parameters, values, marks.tolist(), strict=True):
            if not mark:
                continue
            gradient = value.view(parameter.shape)
            if not parameter.is_contiguous():
                gradient = torch.empty_like(parameter).copy_(gradient)
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def add_gradients(
    world: World,
    sharding: Sharding,
    size: int,
    parameters: Sequence[nn.Parameter],
    gradients_of: Callable[[int], Gradients],
) -> None:
    """Add the gradients of all shards of a batch to those of the parameters, the same bits in every process.

    Args:
        world: the processes.
        sharding: the way in which gradients are added.
        size: number of samples in the batch.
        parameters: the trainable parameters.
        gradients_of: returns the gradient of each parameter for one shard of this process.
    """
    formats = list(dict.fromkeys(p.dtype for p in parameters))
    groups = [[i for i, p in enumerate(parameters) if p.dtype == dtype] for dtype in formats]
    vectors = [GradientVector([parameters[i] for i in group]) for group in groups]
    count = sharding.count(size, world)

    def single(node: Node) -> list[list[Tensor]] | None:
        if node[1] - node[0] > 1:
            return None
        gradients = gradients_of(node[0])
        pairs = zip(vectors, groups, strict=True)
        return [vector.of_shard([gradients[i] for i in group]) for vector, group in pairs]

    own = cover((0, count), share(count, world.rank, world.size))
    nodes = {node: fold(node, single, _add) for node in own}
    for number, vector in enumerate(vectors):
        parts = {node: vector.of(values[number]) for node, values in nodes.items()}
        if sharding.fast:
            total = world.sum(next(iter(parts.values()), vector.empty()))
        else:
            total = sum_in_tree(world, parts, count, vector.empty())
        vector.add_to_parameters(total)


def _add(left: list[list[Tensor]], right: list[list[Tensor]]) -> list[list[Tensor]]:
    """Return the sums, in the memory of ``left`` where each of its gradients has memory of its own."""
    sums = []
    for one, other in zip(left, right, strict=True):
        if _separate(one):
            torch._foreach_add_(one, other)
            sums.append(one)
        else:
            sums.append(list(torch._foreach_add(one, other)))
    return sums


def _separate(gradients: Sequence[Tensor]) -> bool:
    """Return whether no two numbers of the gradients share memory; two gradients of a shard may be the same tensor."""
    memory = {gradient.untyped_storage().data_ptr() for gradient in gradients}
    return len(memory) == len(gradients) and all(map(_dense, gradients))


def _dense(tensor: Tensor) -> bool:
    return tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))
