"""A training step whose bits do not depend on the number of processes.

Each virtual shard of a batch runs through the module in one process. The outputs of all shards are joined, so that
every process computes the loss and the metrics of the whole batch. The gradient of the loss with respect to the outputs
goes back through the module shard by shard, and the gradients of the shards are added in a fixed tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from regraft.distributed.shards import Sharding
from regraft.distributed.world import World, current
from regraft.training.metrics.epoch_metrics import EpochMetrics
from regraft.training.pytree import leaves, tree_map
from regraft.training.sharding.shard_buffers import ShardBuffers
from regraft.training.sharding.shard_gradients import Gradients, add_gradients
from regraft.training.sharding.shard_inputs import joined, own_shards, seed_shard, shard_generators, size_of_batch
from regraft.training.steps import Forward, moved

Parameters = Callable[[], Sequence[nn.Parameter]]


class ShardResult(NamedTuple):
    """The forward pass of one shard.

    Attributes:
        outputs: the outputs of the module.
        targets: targets of the shard, as the data gave them.
        weight: weights of its samples, or None.
        differentiable: whether each output, in order, depends on a trainable parameter.
        buffers: buffers that changed, by name.
    """

    outputs: Any
    targets: Any
    weight: Any
    differentiable: list[bool]
    buffers: dict[str, Tensor]


@dataclass(frozen=True)
class ForwardGraph:
    """The graphs of the shards of one batch in this process, until the gradients went back through them.

    Attributes:
        size: number of samples in the batch.
        rows: rows of each shard of the batch.
        first: number of the first shard of this process.
        outputs: outputs of each shard of this process, in order.
        joined: the outputs of the whole batch, which the loss was computed from, in the same order.
    """

    size: int
    rows: list[tuple[int, int]]
    first: int
    outputs: list[list[Tensor]]
    joined: list[Tensor]

    def gradients(self, shard: int, parameters: Sequence[nn.Parameter]) -> Gradients:
        """Return the gradient of each parameter for one shard, after the backward pass of the loss."""
        first, end = self.rows[shard]
        pairs = [
            (own, whole.grad[first:end].clone())
            for own, whole in zip(self.outputs[shard - self.first], self.joined, strict=True)
            if whole.grad is not None and own.requires_grad
        ]
        outputs, upstream = [own for own, _ in pairs], [gradient for _, gradient in pairs]
        return torch.autograd.grad(outputs, list(parameters), upstream, allow_unused=True)


class ShardedForward:
    """Computes the loss of a batch and the figures of the meter from its shards, and their gradients.

    Args:
        forward: computes outputs and loss of one piece.
        module: the module that is trained.
        sharding: the way in which batches are cut.
        parameters: returns the parameters that the optimizer trains.
    """

    def __init__(self, forward: Forward, module: nn.Module, sharding: Sharding, parameters: Parameters) -> None:
        self._forward, self._module, self._sharding, self._parameters = forward, module, sharding, parameters
        self._graph: ForwardGraph | None = None

    def __call__(self, batch: Any, meter: EpochMetrics) -> Tensor:
        """Return the loss of a batch, and add its figures to ``meter``."""
        forward, world = self._forward, current()
        size = size_of_batch(batch)
        rows = self._sharding.rows(size, world)
        buffers = ShardBuffers(self._module)
        own = self._own_results(batch, size, buffers, world)
        results = self._gathered(own, world)
        buffers.merge([result.buffers for result in results], [end - first for first, end in rows])
        outputs = self._leaves(results)
        targets = joined([result.targets for result in results])
        y = moved(targets, forward.device)
        weight = forward.weights(outputs, y, joined([result.weight for result in results]))
        with forward.precision.autocast():
            loss, parts = forward.objective(outputs, y, weight, forward.auxiliary)
        forward.count_classes(outputs, targets)
        with torch.no_grad():
            meter.update(loss, parts, size, outputs, y, weight, forward.auxiliary)
        if torch.is_grad_enabled():
            first, _ = self._sharding.own(size, world)
            graphs = [list(leaves(result.outputs)) for result in own]
            self._graph = ForwardGraph(size, rows, first, graphs, list(leaves(outputs)))
        return loss

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss`` to those of the parameters, the same bits in every process."""
        loss.backward()  # type: ignore[no-untyped-call]
        graph, self._graph = self._graph, None
        assert graph is not None  # the loss is that of the last batch
        parameters = list(self._parameters())
        add_gradients(
            current(), self._sharding, graph.size, parameters, lambda shard: graph.gradients(shard, parameters)
        )

    def _own_results(self, batch: Any, size: int, buffers: ShardBuffers, world: World) -> list[ShardResult]:
        """Run the shards of this process through the module."""
        forward, results = self._forward, list[ShardResult]()
        first, _ = self._sharding.own(size, world)
        with shard_generators(forward.device, training=forward.training) as key:
            for number, (x, targets, weight) in enumerate(own_shards(batch, self._sharding, world), first):
                seed_shard(key, number)
                changed: dict[str, Tensor] = {}
                with buffers.of_shard(changed), forward.precision.autocast():
                    outputs = forward.outputs(moved(x, forward.device), moved(targets, forward.device))
                flags = [isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves(outputs)]
                results.append(ShardResult(outputs, targets, weight, flags, changed))
        return results

    def _gathered(self, own: Sequence[ShardResult], world: World) -> list[ShardResult]:
        """Return the results of all shards without their graphs, in the order of the shards."""
        auxiliary = self._forward.auxiliary
        plain = [tree_map(_detached if world.size == 1 else _portable, result) for result in own]
        gathered = world.gather((plain, auxiliary.found, auxiliary.names))
        auxiliary.found, auxiliary.names = gathered[0][1], gathered[0][2]  # process 0 always has a shard
        return [result for results, _, _ in gathered for result in results]

    def _leaves(self, results: Sequence[ShardResult]) -> Any:
        """Return the outputs of the whole batch on the device, as the leaves of a new graph."""
        flags = iter(results[0].differentiable)
        wanted = torch.is_grad_enabled()
        outputs = moved(joined([result.outputs for result in results]), self._forward.device)
        return tree_map(lambda leaf: leaf.requires_grad_(wanted and next(flags)), outputs)


def _detached(leaf: Any) -> Any:
    return leaf.detach().contiguous() if isinstance(leaf, Tensor) else leaf


def _portable(leaf: Any) -> Any:
    return leaf.detach().cpu().contiguous() if isinstance(leaf, Tensor) else leaf
