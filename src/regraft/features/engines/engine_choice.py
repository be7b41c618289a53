"""Choice of the engine that finishes a frozen network's features soonest, set-up included.

A small folder is finished before a faster engine is ready. Costs are estimated from the processor until ``regraft
tune`` has measured them. An engine is certified before its first use with a network on a machine: on real photos, its
features must point in the same direction as those of torch in single precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from regraft.data.manifest import Entry
from regraft.errors import ConfigError, did_you_mean
from regraft.features.engines.certification import CERTIFICATION_PHOTOS, MIN_COSINE, certificate, is_certified
from regraft.features.engines.engine import EagerEngine
from regraft.features.engines.engine_costs import certify_seconds, photos_per_second, setup_cost
from regraft.features.engines.engine_interface import Engine
from regraft.features.engines.graph_engines import OnnxEngine
from regraft.features.engines.openvino_engine import OpenVinoEngine
from regraft.features.engines.processor import has_bf16
from regraft.features.extract import feature_keys
from regraft.features.stores.store import FeatureStore
from regraft.models.backbone import Backbone

REFERENCE = "eager fp32"
"""Torch in single precision: the reference of all certificates."""

REDUCED_PRECISIONS = ("bf16", "mixed")
"""Precisions that may be too inaccurate for some networks."""

_MIN_BENEFIT_RATIO = 2.0
"""Minimum ratio of the seconds saved to the seconds at risk before bfloat16 is tried, because many networks fail its
certification. If one engine fails in a precision, other engines are not tried in it: the rounding is the same.
"""

_BF16_UNSAFE_WEIGHTS = frozenset({"a856fc91b84730cb46bc02804bbcfc1f9d211eb67f18b27835d222f60168681c"})
"""SHA-256 of weights known to be inaccurate in bfloat16; skips the trial on the first run. These are the default
weights: their minimum cosine on 16 photos was 0.9975 on every processor and in every folder tried.
"""


_ENGINES: dict[str, Callable[[Backbone, torch.device], Engine]] = {
    REFERENCE: lambda backbone, device: EagerEngine(backbone, device=device),
    "eager bf16": lambda backbone, device: EagerEngine(backbone, device=device, precision="bf16"),
    "ONNX Runtime fp32": lambda backbone, _: OnnxEngine(backbone),
    "OpenVINO fp32": lambda backbone, _: OpenVinoEngine(backbone),
    "OpenVINO bf16": lambda backbone, _: OpenVinoEngine(backbone, precision="bf16"),
    "OpenVINO mixed": lambda backbone, _: OpenVinoEngine(backbone, precision="mixed"),
}


_FUTURE_COST_SHARE = 0.25
"""Fraction of one-off costs (graph, certificate) that is discounted because later runs reuse them. Of two engines that
finish at about the same time, this prefers the one that is faster next time.
"""


class _Cost(NamedTuple):
    """Estimated cost of an engine.

    Attributes:
        seconds: total time for this run.
        weighted: total time with one-off costs discounted.
        at_risk: seconds that are lost if the engine fails its certification.
        title: name of the engine.
        engine: the engine.
    """

    seconds: float
    weighted: float
    at_risk: float
    title: str
    engine: Engine


@dataclass(frozen=True)
class EngineChoice:
    """Chosen engine and the reason.

    Attributes:
        title: name of the engine, such as ``"ONNX Runtime fp32"``.
        why: the reason, for people.
        engine: the engine itself, if the choice has made it ready.
    """

    title: str
    why: str
    engine: Engine | None = None

    def engine_for(self, backbone: Backbone, device: torch.device | str = "cpu") -> Engine:
        """Return the chosen engine for ``backbone``, which must be the network of the choice."""
        return make_engine(self.title, backbone, device) if self.engine is None else self.engine


def make_engine(title: str, backbone: Backbone, device: torch.device | str = "cpu") -> Engine:
    """Return the engine called ``title``, such as ``"ONNX Runtime fp32"``; it is not prepared yet.

    Raises:
        ConfigError: no engine has this name.
        MissingExtraError: the engine's package is not installed.
    """
    if title not in _ENGINES:
        raise ConfigError(f"unknown engine {title!r}{did_you_mean(title, _ENGINES)}")
    return _ENGINES[title](backbone, torch.device(device))


def certified_engine(title: str, backbone: Backbone, device: torch.device, weights: str | None = None) -> Engine:
    """Return the engine called ``title`` if it is certified for this network on this machine, else the reference.

    Args:
        title: name from a model file; it may be unknown here.
        backbone: network to run.
        device: device of the computation.
        weights: hash of the weights; computed if None.
    """
    if title == REFERENCE or device.type != "cpu" or title not in candidates():
        return make_engine(REFERENCE, backbone, device)
    engine = make_engine(title, backbone)
    verdict = certificate(engine, backbone, weights or backbone.weights_hash())
    return engine if verdict is not None and verdict >= MIN_COSINE else make_engine(REFERENCE, backbone, device)


def choose_engine(
    backbone: Backbone,
    entries: Sequence[Entry],
    store: FeatureStore,
    *,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    bf16: bool = True,
    missing: Callable[[Engine], int] | None = None,
    weights: str | None = None,
) -> EngineChoice:
    """Return the engine that provides the features of ``entries`` soonest.

    Args:
        backbone: network to run.
        entries: the photos.
        store: features in it need not be computed.
        device: device of the computation; on other devices than the CPU, torch is the only engine.
        workers: number of threads that decode the certification photos.
        bf16: whether bfloat16 may be used.
        missing: returns the number of photos that a verified engine would have to compute; by default those ``entries``
            whose features are not in the store. An engine with nothing left to compute is chosen at once.
        weights: hash of the weights; computed if None.
    """
    if torch.device(device).type != "cpu":
        return EngineChoice(REFERENCE, f"torch is the only engine on {device}")
    weights = weights or backbone.weights_hash()
    costs: list[_Cost] = []
    inaccurate = {"bf16"} if weights in _BF16_UNSAFE_WEIGHTS else set()  # precisions that failed for this network
    for title in candidates(bf16=bf16):
        engine = make_engine(title, backbone)
        engine.set_weights_hash(weights)
        verdict = certificate(engine, backbone, weights)
        hopeless = len(entries) < CERTIFICATION_PHOTOS if verdict is None else verdict < MIN_COSINE
        if title != REFERENCE and hopeless:
            inaccurate |= set() if verdict is None else {_precision(title)}
            continue
        left = missing(engine) if missing else _count_missing(engine, backbone, weights, entries, store)
        usable = title == REFERENCE or verdict is not None
        if not left and entries and usable:
            return EngineChoice(title, "all features are in the store")
        costs.append(_estimated_cost(title, engine, backbone, weights, left, certified=usable))
    return _soonest(
        costs, inaccurate, len(entries), lambda engine: is_certified(engine, backbone, weights, entries, workers)
    )


def _estimated_cost(
    title: str, engine: Engine, backbone: Backbone, weights: str, left: int, *, certified: bool
) -> _Cost:
    """Return the estimated cost of an engine that has ``left`` photos to compute."""
    setup = setup_cost(engine, backbone, weights)
    trial = 0.0 if certified else certify_seconds(engine, backbone)
    seconds = setup.seconds + trial + left / photos_per_second(title, backbone)
    at_risk = setup.seconds + trial if trial and title.endswith(REDUCED_PRECISIONS) else 0.0
    return _Cost(seconds, seconds - _FUTURE_COST_SHARE * (setup.reusable + trial), at_risk, title, engine)


def _soonest(
    costs: Sequence[_Cost], inaccurate: set[str], photos: int, certified: Callable[[Engine], bool]
) -> EngineChoice:
    """Return the cheapest engine that is certified or passes certification now.

    Args:
        costs: estimated costs; those of the reference are among them.
        inaccurate: precisions that failed for this network.
        photos: number of photos.
        certified: certifies an engine if it was not tried before, and returns whether it may be used.
    """
    inaccurate = set(inaccurate)
    safe = min(cost.weighted for cost in costs if not cost.at_risk)
    for cost in sorted(costs, key=lambda cost: cost.weighted):
        too_little = safe - cost.weighted < _MIN_BENEFIT_RATIO * cost.at_risk
        if cost.at_risk and (too_little or _precision(cost.title) in inaccurate):
            continue
        if cost.title == REFERENCE or certified(cost.engine):
            why = f"{photos:,} photos in about {cost.seconds:.1f} s, set-up included"
            return EngineChoice(cost.title, why, cost.engine)
        inaccurate.add(_precision(cost.title))
    return EngineChoice(REFERENCE, "no other engine is certified")


def _precision(title: str) -> str:
    """Return the precision in the name of an engine."""
    return title.rpartition(" ")[2]


def candidates(*, bf16: bool = True) -> list[str]:
    """Return the names of the engines that can run here; of equally fast ones, the first is preferred."""
    titles = []
    for title in _ENGINES:
        if title.endswith(REDUCED_PRECISIONS) and not (bf16 and has_bf16()):
            continue
        if title.startswith("OpenVINO") and not _installed("openvino"):
            continue
        if title.startswith("ONNX") and not _installed("onnxruntime"):
            continue
        titles.append(title)
    return titles


def _count_missing(
    engine: Engine, backbone: Backbone, weights: str, entries: Sequence[Entry], store: FeatureStore
) -> int:
    if not engine.verified:  # it has not run here yet
        return len(entries)
    keys = [key for key in feature_keys(entries, backbone, weights, engine.numerics) if key is not None]
    return len(store.missing(keys)) + len(entries) - len(keys)


def _installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None
