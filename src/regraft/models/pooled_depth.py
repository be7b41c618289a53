"""A network that also returns pooled activations of its blocks: mean and standard deviation over space.

Features of lower layers help where the photos differ from those of the pretraining (Evci et al. 2022, "Head2Toe",
https://arxiv.org/abs/2201.03529). torch.fx traces the network; the activations that pass from one block to the next are
pooled and appended to its features. One pass computes all of it, and each module is still one of the network's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx, nn

from regraft.models.blocks import Block, blocks_of_modules
from regraft.models.cut import BlockTracer, NoCutError, is_free, only_result, trial_photos

POOLING_VERSION = "pooled1"
"""Version of the pooled activations. Change it whenever the same network may give others."""


@dataclass(frozen=True)
class PooledNetwork:
    """A network whose features end with pooled activations.

    Attributes:
        network: maps photos, (B, 3, H, W), to features, (B, D + 2 * sum(channels)); it has the network's own modules.
        channels: number of channels of each pooled block, bottom to top. Each gives a mean and a deviation per channel.
    """

    network: nn.Module
    channels: tuple[int, ...]


def pool_blocks(network: nn.Module, blocks: tuple[Block, ...], height: int, width: int) -> PooledNetwork:
    """Return ``network`` with the pooled activations of its blocks appended to its features.

    Activations are pooled wherever a single tensor passes from the blocks below to those above.

    Args:
        network: in inference mode.
        blocks: its blocks, bottom to top.
        height: input height in pixels.
        width: input width in pixels.

    Raises:
        NoCutError: the network cannot be traced, or no single tensor with axes of space passes between any two blocks.
    """
    name = type(network).__name__
    x = trial_photos(network, height, width)
    try:
        with torch.inference_mode():
            pooled = _traced(network, blocks, x)
            same = torch.equal(pooled.network(x)[:, : -2 * sum(pooled.channels)], network(x))
    except NoCutError:
        raise
    except Exception as error:  # a network that cannot be traced has no such variant
        raise NoCutError(f"the blocks of {name} cannot be pooled: {str(error).splitlines()[0]}") from error
    if not same or set(pooled.network.state_dict()) != set(network.state_dict()):
        raise NoCutError(f"the blocks of {name} cannot be pooled: the traced network differs from the network")
    return pooled


def spatial_moments(x: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """Return mean and standard deviation of each channel over ``axes``: (B, ...) -> (B, 2 * channels), float32."""
    x = x.float()
    mean = x.mean(axes, keepdim=True)
    difference = x - mean
    deviation = (difference * difference).mean(axes, keepdim=True).sqrt()
    return torch.cat([mean.flatten(1), deviation.flatten(1)], dim=1)


def _traced(network: nn.Module, blocks: tuple[Block, ...], x: torch.Tensor) -> PooledNetwork:
    owners = {
        name: (next(iter(span)) if len(span) == 1 else None)
        for name, span in blocks_of_modules(network, blocks).items()
    }
    tracer = BlockTracer(owners, x)
    graph = tracer.trace(network)
    block_of = _node_blocks(graph, tracer, blocks)
    channels, moments = [], []
    for source in _passing_values(graph, block_of, len(blocks)):
        axes = _space(tracer.value(source), str(getattr(network, "output_fmt", "NCHW")))
        if axes is None:
            continue
        with graph.inserting_after(source):
            moments.append(graph.call_function(spatial_moments, (source, axes)))
        shape = tracer.value(source).shape
        channels.append(next(shape[axis] for axis in range(1, len(shape)) if axis not in axes))
    if not moments:
        raise NoCutError(
            f"the blocks of {type(network).__name__} cannot be pooled: more than a single tensor with axes of space "
            "passes between any two of them"
        )
    output = graph.output_node()
    with graph.inserting_before(output):
        features = graph.call_method("float", (only_result(output),))
        output.args = (graph.call_function(torch.cat, ([features, *moments], 1)),)
    module = fx.GraphModule(network, graph, f"{type(network).__name__}Pooled")
    module.train(network.training)
    return PooledNetwork(module, tuple(channels))


def _node_blocks(graph: fx.Graph, tracer: BlockTracer, blocks: tuple[Block, ...]) -> dict[fx.Node, int]:
    """Return the highest block whose parameters each step uses, or that it depends on; -1 for none."""
    owners = {name: i for i, block in enumerate(blocks) for name in (*block.parameters, *block.buffers)}
    found: dict[fx.Node, int] = {}
    for node in graph.nodes:
        own: int | None = None
        if node.op == "call_module":
            own = tracer.side_of.get(str(node.target))
        elif node.op == "get_attr":
            own = owners.get(str(node.target))
        found[node] = max([-1 if own is None else own, *(found[source] for source in node.all_input_nodes)])
    return found


def _passing_values(graph: fx.Graph, block_of: dict[fx.Node, int], count: int) -> list[fx.Node]:
    """Return the steps whose results alone pass from the blocks below to those above, bottom to top."""
    output = graph.output_node()
    passing: dict[fx.Node, None] = {}
    for at in range(1, count):
        crossing = {
            source
            for node in graph.nodes
            if block_of[node] >= at or node is output
            for source in node.all_input_nodes
            if block_of[source] < at and not is_free(source)
        }
        if len(crossing) == 1:
            passing[crossing.pop()] = None
    return list(passing)


def _space(value: object, layout: str) -> tuple[int, ...] | None:
    """Return the axes of space of activations; None if they have none, as single vectors."""
    if not isinstance(value, torch.Tensor):
        return None
    if value.ndim == 4:
        return (1, 2) if layout == "NHWC" else (2, 3)
    return (1,) if value.ndim == 3 else None
