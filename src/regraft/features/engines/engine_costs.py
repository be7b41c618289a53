"""Costs of engines: measured if `regraft tune` has run, else estimated.

The estimates are speed ratios measured on Intel and AMD processors with and without AVX-512. A wrong estimate costs
time, never accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from regraft.data.threads import default_workers
from regraft.features.engines.engine_interface import Engine
from regraft.features.engines.graph_engines import has_graph
from regraft.features.engines.machine_facts import machine_id, read_fact, write_fact
from regraft.features.engines.processor import has_amx, has_avx2, has_avx512
from regraft.models.backbone import Backbone

_SPEED_RATIOS = {
    "eager bf16": 1.75,
    "ONNX Runtime fp32": 1.35,
    "OpenVINO fp32": 1.3,
    "OpenVINO bf16": 2.0,
    "OpenVINO mixed": 1.6,
}
_WITH_AMX = {"eager bf16": 2.0, "OpenVINO bf16": 3.2, "OpenVINO mixed": 1.95}  # AMX on Intel processors
_WITHOUT_AVX512 = {"OpenVINO fp32": 1.25}
_WITHOUT_AVX2 = {"OpenVINO fp32": 1.05}
_SLOW_CORE_SPEED = 50.0  # photos/s of one core without AVX2
_CORE_SPEED = 68.0  # photos/s of one core, for _PARAMETERS parameters and an input of 224 × 224 pixels
_PARAMETERS, _PIXELS = 4.7e6, 224 * 224

INPUT_INDEPENDENT_SHARE = 0.4
"""Share of the time per photo that does not depend on the input size: reading and decoding."""

_IMPORT = {"ONNX Runtime": 0.15, "OpenVINO": 0.3}  # seconds, including compilation
_EXPORT = 0.4
_TRIAL_PHOTOS = 16  # photos that the search for the batch size runs
_FOLD_PHOTOS = 8  # photos that folding and its check run
_CERTIFICATION_PHOTOS = 16


def photos_per_second(title: str, backbone: Backbone) -> float:
    """Return the speed of an engine in photos/s when nothing else runs: measured, or else estimated."""
    recorded = measured_speed(title, backbone)
    if recorded is not None:
        return recorded
    base = measured_speed("eager fp32", backbone)
    if base is None:
        p = backbone.spec.preprocessing
        work = backbone.spec.parameters / _PARAMETERS * (p.height * p.width) / _PIXELS
        base = (_CORE_SPEED if has_avx2() else _SLOW_CORE_SPEED) * min(default_workers(), 8) / max(work, 0.01)
    return base * _speed_ratio(title)


def _speed_ratio(title: str) -> float:
    """Return the speed of an engine relative to torch in single precision on this processor."""
    here: dict[str, float] = {}
    if has_amx():
        here = _WITH_AMX
    elif not has_avx2():
        here = _WITHOUT_AVX2
    elif not has_avx512():
        here = _WITHOUT_AVX512
    return here.get(title) or _SPEED_RATIOS.get(title, 1.0)


class SetupCost(NamedTuple):
    """Time until an engine runs its first batch.

    Attributes:
        seconds: total.
        reusable: seconds of the total that later runs on this machine save.
    """

    seconds: float
    reusable: float


def setup_cost(engine: Engine, backbone: Backbone, weights_hash: str) -> SetupCost:
    """Return the time to prepare ``engine``, without its certification."""
    speed, reference = photos_per_second(engine.title, backbone), photos_per_second("eager fp32", backbone)
    fold = 0.1 + _FOLD_PHOTOS / reference
    trial = 0.0 if engine.verified else _TRIAL_PHOTOS / speed
    for name, seconds in _IMPORT.items():
        if engine.title.startswith(name):
            made = engine.verified and has_graph(backbone, weights_hash, engine.batch_size)
            reusable = trial + (0.0 if made else fold + _EXPORT)
            return SetupCost(seconds + reusable, reusable)
    return SetupCost(fold + trial, trial)


def certify_seconds(engine: Engine, backbone: Backbone) -> float:
    """Return the time of the certification of ``engine`` in seconds, without its set-up."""
    own = _CERTIFICATION_PHOTOS / photos_per_second(engine.title, backbone)
    if not engine.title.startswith("eager"):  # the reference, not folded, runs during the export
        return own
    return own + 2 * _CERTIFICATION_PHOTOS / photos_per_second("eager fp32", backbone)


def measured_speed(title: str, backbone: Backbone) -> float | None:
    """Return the speed in photos/s that `regraft tune` measured for an engine on this machine, or None."""
    recorded = read_fact(_speed_key(title, backbone))
    return float(recorded) if isinstance(recorded, (int, float)) and recorded > 0 else None


def record_speed(title: str, backbone: Backbone, speed: float) -> None:
    """Record a measured speed in photos/s."""
    write_fact(_speed_key(title, backbone), round(speed, 2))


@dataclass(frozen=True)
class PassCost:
    """Time per photo of a pass through a network, reading and decoding included.

    Attributes:
        seconds: wall-clock seconds per photo.
        pixels: input size in pixels.
    """

    seconds: float
    pixels: int

    def at(self, pixels: int) -> float:
        """Return the estimated seconds per photo for another input size in pixels."""
        return max(pixels / self.pixels, INPUT_INDEPENDENT_SHARE) * self.seconds


def last_pass(name: str, device: str) -> PassCost | None:
    """Return the cost of the last long pass of a network on this machine, or None."""
    recorded = read_fact(_pass_key(name, device))
    if isinstance(recorded, list) and len(recorded) == 2 and min(recorded) > 0:
        return PassCost(float(recorded[0]), int(recorded[1]))
    return None


def record_pass(name: str, device: str, found: PassCost) -> None:
    """Record the cost of a pass."""
    write_fact(_pass_key(name, device), [round(found.seconds, 6), found.pixels])


def _pass_key(name: str, device: str) -> str:
    return f"pass / {device} / {torch.__version__} / {name} / {machine_id()}"


def _speed_key(title: str, backbone: Backbone) -> str:
    p = backbone.spec.preprocessing
    return f"photos/s / {title} / {torch.__version__} / {backbone.spec.name} / {p.height}x{p.width} / {machine_id()}"
