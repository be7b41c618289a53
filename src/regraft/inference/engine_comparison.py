"""Comparison of the graph of a network with torch: both run batches in turn, and the speeds are measured here.

A linear probe has an engine since its features were computed; a fine-tuned network has run in torch only. Of engines
that run graphs, the one with the highest speed by `regraft tune`, or by estimates, is measured.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.features.engines.engine import EagerEngine
from regraft.features.engines.engine_choice import REFERENCE, candidates, make_engine
from regraft.features.engines.engine_costs import photos_per_second
from regraft.features.engines.engine_interface import Engine
from regraft.features.engines.graph_engines import GraphEngine
from regraft.inference.network_pass import NetworkPass
from regraft.models.backbone import Backbone
from regraft.randomness import generator

_ROUNDS = 3
"""Batches of each engine in turn. The fastest one counts, which other work of the machine disturbs least."""


class ComparedGraph(NamedTuple):
    """A network's graph, ready to run.

    Attributes:
        engine: runs it.
        speed_ratio: its speed relative to torch, if torch is the engine of the network; else 1. None: not measured.
    """

    engine: GraphEngine
    speed_ratio: float | None


def compared_graph(network: NetworkPass, *, measured: bool) -> ComparedGraph | None:
    """Return the graph of a network; None if the network needs torch or another engine.

    Args:
        network: the network.
        measured: whether to measure the speeds.
    """
    engine = network.engine
    if isinstance(engine, GraphEngine):
        return ComparedGraph(engine, 1.0) if _can_run(engine) else None
    if not is_reference(engine) or not isinstance(network.network, Backbone):
        return None
    backbone = network.network
    titles = [title for title in candidates(bf16=False) if title != REFERENCE]
    for title in sorted(titles, key=lambda title: -photos_per_second(title, backbone)):
        graph = make_engine(title, backbone)
        graph.set_weights_hash(engine.weights)
        if isinstance(graph, GraphEngine) and _can_run(graph):
            return ComparedGraph(graph, _speed_ratio(graph, engine, backbone) if measured else None)
    return None


def is_reference(engine: Engine) -> bool:
    """Return whether an engine is torch in single precision on the processor, which a graph may replace."""
    return isinstance(engine, EagerEngine) and engine.device.type == "cpu" and engine.precision == "fp32"


def _can_run(engine: GraphEngine) -> bool:
    """Return whether the engine's graph exists; it is exported if it does not."""
    try:
        return bool(engine.graph_file)
    except Exception:  # noqa: BLE001  (torch and the engines raise all kinds where they cannot take a network)
        return False


def _speed_ratio(graph: GraphEngine, reference: Engine, backbone: Backbone) -> float:
    """Return the measured speed of a graph relative to the reference.

    It is the speed of many photos. If a graph of one photo cannot share it among threads, the ratio for a photo alone
    counts too, and the result is the lower one: no client has to wait longer.
    """
    seconds = {engine: float("inf") for engine in (graph, reference)}
    p = backbone.spec.preprocessing
    size = max(engine.batch_size for engine in seconds)
    pixels = generator("comparison of engines").integers(0, 256, (size, p.height, p.width, 3), dtype=np.uint8)
    for _ in range(1 + _ROUNDS):  # the first batch of an engine may be slower, never faster
        for engine, fastest in seconds.items():
            seconds[engine] = min(fastest, _seconds(engine, pixels))
    many = _photos_per_second(graph, seconds[graph]) / _photos_per_second(reference, seconds[reference])
    return many if graph.batch_size > 1 else min(many, seconds[reference] / seconds[graph])


def _seconds(engine: Engine, pixels: NDArray[np.uint8]) -> float:
    began = time.perf_counter()
    engine.run(pixels[: engine.batch_size])
    return time.perf_counter() - began


def _photos_per_second(engine: Engine, seconds: float) -> float:
    return engine.batch_size * engine.parallel_batches / seconds
