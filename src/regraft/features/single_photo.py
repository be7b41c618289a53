"""Engines that run photos one at a time with the bits of a batch: a lone request need not pay for a full batch."""

from __future__ import annotations

import numpy as np

from regraft.features.engine import EagerEngine
from regraft.features.engine_interface import Engine
from regraft.features.graph_engines import GraphEngine, synthetic_pixels
from regraft.features.operations import BATCH_SAFE, operation_names
from regraft.features.trial import synthetic_photos

_TRIAL_PHOTOS = 8


def single_photo_engine(engine: Engine) -> Engine:
    """Return an engine that computes the same bits as ``engine``, but one photo at a time.

    On a processor, a batch costs as much as its photos one after the other. The result is ``engine`` itself on other
    devices; if the network has operations that are not sums or exact, since a trial could miss a difference; and if the
    bits of a trial differ.
    """
    single = _with_one_photo(engine)
    if single is None:
        return engine
    single.set_weights_hash(engine.weights)
    p = single.backbone.spec.preprocessing
    pixels = synthetic_pixels(p.height, p.width, _TRIAL_PHOTOS)
    size = engine.batch_size
    in_batches = [engine.run(pixels[start : start + size]) for start in range(0, len(pixels), size)]
    alone = [single.run(pixels[number : number + 1]) for number in range(len(pixels))]
    return single if np.concatenate(in_batches).tobytes() == np.concatenate(alone).tobytes() else engine


def _with_one_photo(engine: Engine) -> EagerEngine | GraphEngine | None:
    """Return the same engine for batches of one photo; None if there is none, or its bits might differ unnoticed."""
    if engine.batch_size == 1 or not isinstance(engine, (EagerEngine, GraphEngine)):
        return None
    network, p = engine.backbone.network, engine.backbone.spec.preprocessing
    parameter = next(network.parameters())
    if (
        parameter.device.type != "cpu"
        or not operation_names(network, synthetic_photos(1, p.height, p.width)) <= BATCH_SAFE
    ):
        return None
    if isinstance(engine, EagerEngine):
        if engine.device.type != "cpu":
            return None
        return EagerEngine(engine.backbone, device=engine.device, precision=engine.precision, batch_size=1)
    return type(engine)(engine.backbone, precision=engine.precision, batch_size=1)
