"""Speed of each engine on this machine, measured once and recorded for the choice of engines."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.features.engines.certification import MIN_COSINE, certify
from regraft.features.engines.engine_choice import REFERENCE, candidates, make_engine
from regraft.features.engines.engine_costs import record_speed
from regraft.features.engines.engine_interface import Engine, map_batches
from regraft.models.backbone import Backbone
from regraft.process import cores
from regraft.randomness import generator
from regraft.screen import Bar

ROUNDS = 5
"""Number of measurements per engine. Engines alternate, so that a busy moment slows down all of them."""

_SECONDS = 1.0  # approximate time per round


@dataclass(frozen=True)
class EngineSpeed:
    """Measured speed of an engine on this machine.

    Attributes:
        title: name of the engine.
        photos_per_second: median over the rounds; 0 if it cannot run the network.
        cosine: minimum cosine between its features and the reference on real photos; None without photos.
    """

    title: str
    photos_per_second: float
    cosine: float | None

    @property
    def certified(self) -> bool | None:
        """True if the engine may be used; None if it was not tried."""
        return None if self.cosine is None else self.cosine >= MIN_COSINE


def measure_engines(
    backbone: Backbone, photos: NDArray[np.uint8] | None = None, bar: Bar | None = None
) -> list[EngineSpeed]:
    """Measure every engine that can run here, and return the results, fastest first.

    The results are recorded for the choice of engines, unless `machine_is_busy` at the end.

    Args:
        backbone: network to run, on the CPU.
        photos: real photos for the certification, shape (n, H, W, 3), uint8; no certification if None.
        bar: progress bar, advanced by `ROUNDS` per engine.
    """
    titles = candidates()
    ready: dict[str, tuple[Engine, int]] = {}
    cosines: dict[str, float | None] = {}
    for title in titles:
        engine = make_engine(title, backbone)
        cosines[title] = 1.0 if title == REFERENCE else None if photos is None else certify(engine, backbone, photos)
        try:
            ready[title] = (engine, _batches_a_turn(engine, backbone))
        except Exception:  # noqa: BLE001  (torch and the engines raise all kinds where they cannot take a network)
            cosines[title] = 0.0
    speeds: dict[str, list[float]] = {title: [] for title in titles}
    for _ in range(ROUNDS):
        for title, (engine, batches) in ready.items():
            speeds[title].append(_speed(engine, backbone, batches))
            if bar is not None:
                bar.advance(1)
    results = []
    quiet = not machine_is_busy()
    for title in titles:
        speed = statistics.median(speeds[title]) if speeds[title] else 0.0
        if speed and quiet:
            record_speed(title, backbone, speed)
        results.append(EngineSpeed(title, speed, cosines[title]))
    return sorted(results, key=lambda measured: -measured.photos_per_second)


def machine_is_busy() -> bool:
    """Return whether other processes use the CPU so heavily that measurements would be wrong."""
    try:
        return os.getloadavg()[0] > 1.5 * cores()
    except (AttributeError, OSError):  # not available on Windows
        return False


def _batches_a_turn(engine: Engine, backbone: Backbone) -> int:
    """Return the number of batches that take about a second, after a warm-up."""
    _speed(engine, backbone, 2 * engine.parallel_batches)
    rate = _speed(engine, backbone, 2 * engine.parallel_batches) / engine.batch_size
    return max(2 * engine.parallel_batches, min(500, round(_SECONDS * rate)))


def _speed(engine: Engine, backbone: Backbone, batches: int) -> float:
    """Return the speed in photos/s over some batches, with the engine's number of parallel batches."""
    p = backbone.spec.preprocessing
    shape = (engine.batch_size, p.height, p.width, 3)
    pixels = generator("tuning").integers(0, 256, shape, dtype=np.uint8)
    begun = time.perf_counter()
    for _ in map_batches(engine, lambda _: engine.run(pixels), range(batches)):
        pass
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return batches * engine.batch_size / (time.perf_counter() - begun)
