"""Cut of a network in two halves: the frozen layers below, and the layers above.

torch.fx traces the network. Every module that lies on one side of the cut is kept as a whole; only containers that lie
on both sides are traced. If more than a single tensor passes between the blocks of a network, it cannot be cut there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from regraft.errors import ConfigError
from regraft.models.blocks import Block, blocks_of_modules


class NoCutError(ConfigError):
    """The network cannot be cut at this point."""


@dataclass(frozen=True)
class Halves:
    """The two halves of a network; they share the modules of the network.

    Attributes:
        lower: maps photos, (B, 3, H, W), to activations, (B, ...).
        upper: maps activations to features, (B, D).
        shape: shape of the activations of one photo.
    """

    lower: nn.Module
    upper: nn.Module
    shape: tuple[int, ...]


def cut_network(network: nn.Module, blocks: tuple[Block, ...], at: int, height: int, width: int) -> Halves:
    """Cut ``network`` below its block number ``at``.

    Args:
        network: in inference mode, in which both halves together compute the same as the whole.
        blocks: its blocks, bottom to top.
        at: index of the lowest block of the upper half, at least 1.
        height: input height in pixels.
        width: input width in pixels.

    Raises:
        NoCutError: there is no point in the network where a single tensor passes from one half to the other.
    """
    name = type(network).__name__
    if not 0 < at < len(blocks):
        raise NoCutError(f"cannot cut below block {at}; expected 1 to {len(blocks) - 1}")
    x = trial_photos(network, height, width)
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        tracer = BlockTracer(
            {module: _module_side(span, at) for module, span in blocks_of_modules(network, blocks).items()}, x
        )
        graph = tracer.trace(network)
        lower, upper = _split_graph(graph, _node_sides(graph, tracer.side_of, _tensor_sides(blocks, at)))
        halves = fx.GraphModule(network, lower, f"{name}Lower"), fx.GraphModule(network, upper, f"{name}Upper")
        shape = _checked_shape(network, *halves, x)
    except NoCutError:
        raise
    except Exception as error:  # a network that cannot be traced cannot be cut
        raise NoCutError(f"{name} cannot be cut below {blocks[at].name}: {str(error).splitlines()[0]}") from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    for half in halves:
        half.training = network.training
    return Halves(*halves, shape)


def trial_photos(network: nn.Module, height: int, width: int) -> torch.Tensor:
    """Return two random photos, shape (2, 3, height, width), in the dtype and on the device of ``network``."""
    parameter = next(network.parameters())
    x = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0)).sub(0.5).mul(2)
    return x.to(parameter.device, parameter.dtype)


class BlockTracer(fx.Tracer):
    """Tracer that enters only modules on several sides, and runs each step, so that sizes are known.

    Args:
        side_of: number of the side that each module lies on, by name; None if it lies on several.
        x: photos for the traced steps.
    """

    def __init__(self, side_of: Mapping[str, int | None], x: torch.Tensor) -> None:
        super().__init__()
        self.side_of, self._x = side_of, x
        self._values: dict[fx.Node, Any] = {}
        self._running = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether the module is kept as a whole."""
        return self.side_of.get(module_qualified_name) is not None

    def create_node(self, kind: str, target: Any, *more: Any, **named: Any) -> fx.Node:
        """Record a step and run it on the photos."""
        node = super().create_node(kind, target, *more, **named)
        if kind == "placeholder":
            self._values[node] = node.args[0] if node.args else self._x
        elif kind != "output":
            self._values[node] = self._run(node)
        return node

    def _run(self, node: fx.Node) -> Any:
        step = fx.Interpreter(self.root, garbage_collect_values=False, graph=self.graph)
        step.env, self._running = self._values, True
        try:
            with torch.inference_mode():
                return step.run_node(node)
        finally:
            self._running = False

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Record the call of a module, except within a step that is running."""
        return forward(*args, **kwargs) if self._running else super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Record the use of a parameter, except within a step that is running."""
        return attr_val if self._running else super().getattr(attr, attr_val, parameter_proxy_cache)

    def value(self, node: fx.Node) -> Any:
        """Return the result of a traced step on the photos."""
        return self._values[node]

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Return the value of a condition that does not depend on the photos' contents."""
        value = self._values.get(obj.node)
        return super().to_bool(obj) if value is None or isinstance(value, torch.Tensor) else bool(value)


def _module_side(span: frozenset[int], at: int) -> bool | None:
    """Return whether a module lies above the cut (True) or below it (False); None if it lies on both sides."""
    above = {index >= at for index in span}
    return above.pop() if len(above) == 1 else None


def _tensor_sides(blocks: tuple[Block, ...], at: int) -> dict[str, bool]:
    return {name: i >= at for i, block in enumerate(blocks) for name in (*block.parameters, *block.buffers)}


def _node_sides(graph: fx.Graph, side_of: Mapping[str, int | None], owners: Mapping[str, bool]) -> dict[fx.Node, bool]:
    """Return for each node whether it belongs to the upper half: it uses its parameters, or depends on such a node."""
    above: dict[fx.Node, bool] = {}
    for node in graph.nodes:
        side = False
        if node.op == "call_module":
            side = bool(side_of.get(str(node.target)))
        elif node.op == "get_attr":
            side = owners.get(str(node.target), False)
        above[node] = side or any(above[source] for source in node.all_input_nodes)
    above[graph.output_node()] = True
    return above


def _split_graph(graph: fx.Graph, above: dict[fx.Node, bool]) -> tuple[fx.Graph, fx.Graph]:
    """Return the graphs of both halves."""
    crossing = list(
        dict.fromkeys(
            source
            for node in graph.nodes
            if above[node]
            for source in node.all_input_nodes
            if not above[source] and not is_free(source)
        )
    )
    if len(crossing) != 1:
        raise NoCutError(f"{len(crossing)} values pass from the lower to the upper blocks; expected one")
    (boundary,) = crossing
    lower, upper = fx.Graph(), fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if not above[node]:
            copies[node] = lower.node_copy(node, copies.__getitem__)
    lower.output(copies[boundary])
    lower.eliminate_dead_code(is_kept)
    copies = {boundary: upper.placeholder("activations")}  # the first argument, like the photos of the network
    result = graph.output_node()
    for node in graph.nodes:
        if (above[node] or is_free(node)) and node is not result:
            copies[node] = upper.node_copy(node, copies.__getitem__)
    upper.output(copies[only_result(result)])
    upper.eliminate_dead_code(is_kept)
    return lower, upper


def is_free(node: fx.Node) -> bool:
    """Return whether a node costs nothing in either half: a parameter, or an argument that keeps its default."""
    return node.op == "get_attr" or (node.op == "placeholder" and bool(node.args))


def is_kept(node: fx.Node) -> bool:
    """Return whether a node stays even if its result is unused."""
    return node.op in ("placeholder", "output")


def only_result(result: fx.Node) -> fx.Node:
    """Return the node whose value a network returns; ``result`` is the output node of its graph."""
    value: Any = result.args[0]
    if not isinstance(value, fx.Node):
        raise NoCutError("the network does not return one tensor")
    return value


def _checked_shape(
    network: nn.Module,
    lower: Callable[[torch.Tensor], torch.Tensor],
    upper: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
) -> tuple[int, ...]:
    """Compare both halves with the whole on photos ``x``, and return the shape of the activations of one photo."""
    with torch.inference_mode():
        activations = lower(x)
        same = torch.equal(network(x), upper(activations))
    if not same:
        raise NoCutError("the two halves do not compute what the whole network computes")
    if activations.shape[0] != len(x):
        raise NoCutError("the activations have no batch axis")
    return tuple(activations.shape[1:])
