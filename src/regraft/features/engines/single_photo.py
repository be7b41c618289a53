"""Engines with the bits of another engine, for requests to a server: one photo at a time, on one thread or on several.

A lone request need not pay for a full batch, and may use the processors that no other request uses.
"""

from __future__ import annotations

import numpy as np

from regraft.features.engines.engine import EagerEngine
from regraft.features.engines.engine_interface import Engine
from regraft.features.engines.graph_engines import GraphEngine, OnnxEngine, synthetic_pixels
from regraft.features.engines.graph_files import Run, compile_onnx
from regraft.features.engines.machine_facts import Fact, machine_id
from regraft.features.engines.operations import BATCH_SAFE, operation_names
from regraft.features.engines.trial import synthetic_photos

_TRIAL_PHOTOS = 8


def single_photo_engine(engine: Engine) -> Engine:
    """Return an engine that computes the same bits as ``engine``, but one photo at a time.

    On a processor, a batch costs as much as its photos one after the other. The result is ``engine`` itself on other
    devices; if the network has operations that are not sums or exact, since a trial could miss a difference; and if the
    bits of a trial differ.
    """
    if engine.batch_size == 1 or not isinstance(engine, (EagerEngine, GraphEngine)):
        return engine
    single: EagerEngine | GraphEngine
    if isinstance(engine, GraphEngine):
        single = type(engine)(engine.backbone, precision=engine.precision, batch_size=1)
    else:
        single = EagerEngine(engine.backbone, device=engine.device, precision=engine.precision, batch_size=1)
    single.set_weights_hash(engine.weights)
    return single if _is_equal(single, engine, 1) else engine


def lone_photo_engine(engine: Engine, threads: int) -> Engine:
    """Return an engine that computes the same bits as ``engine``, but one photo on several threads.

    The result is ``engine`` itself if there is none: only ONNX Runtime has one here, for networks as described at
    `single_photo_engine`.

    Args:
        engine: runs one photo at a time on one thread.
        threads: number of threads.
    """
    if threads < 2 or engine.batch_size > 1 or not isinstance(engine, OnnxEngine):
        return engine
    lone = _ThreadedOnnxEngine(engine, threads)
    lone.set_weights_hash(engine.weights)
    return lone if _is_equal(lone, engine, threads) else engine


class _ThreadedOnnxEngine(OnnxEngine):
    """ONNX Runtime with several threads for each photo."""

    def __init__(self, engine: OnnxEngine, threads: int) -> None:
        super().__init__(engine.backbone, batch_size=1)
        self._threads = threads

    def _compile(self, graph: bytes) -> Run:
        return compile_onnx(graph, self._threads)


def _is_equal(single: EagerEngine | GraphEngine, engine: EagerEngine | GraphEngine, threads: int) -> bool:
    """Return whether two engines have the same bits; the result is recorded for later processes on this machine."""
    network = f"{engine.weights} / {engine.backbone.spec.preprocessing.id}"
    fact = Fact(f"one photo, {threads} threads / {engine.numerics} / {network} / {machine_id()}")
    equal = fact.read()
    if equal is None:
        equal = int(_is_sums(single) and _have_same_bits(single, engine))
        fact.write(equal)
    return bool(equal)


def _is_sums(engine: EagerEngine | GraphEngine) -> bool:
    """Return whether the network is on the processor and consists of sums and exact operations."""
    network, p = engine.backbone.network, engine.backbone.spec.preprocessing
    if isinstance(engine, EagerEngine) and engine.device.type != "cpu":
        return False
    on_processor = next(network.parameters()).device.type == "cpu"
    return on_processor and operation_names(network, synthetic_photos(1, p.height, p.width)) <= BATCH_SAFE


def _have_same_bits(single: EagerEngine | GraphEngine, engine: Engine) -> bool:
    """Return whether two engines have the same bits on a trial of some photos; ``single`` runs them one by one."""
    p = single.backbone.spec.preprocessing
    pixels = synthetic_pixels(p.height, p.width, _TRIAL_PHOTOS)
    size = engine.batch_size
    in_batches = [engine.run(pixels[start : start + size]) for start in range(0, len(pixels), size)]
    alone = [single.run(pixels[number : number + 1]) for number in range(len(pixels))]
    return np.concatenate(in_batches).tobytes() == np.concatenate(alone).tobytes()
