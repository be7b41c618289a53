"""Which engine runs a frozen network: the one that is done soonest, its set-up included.

A small folder is done before a faster engine is ready. What each costs is estimated from the processor until
``regraft tune`` has measured it. An engine is certified before its first use with a network on a machine: on real
photos its features must point where those of torch in single precision do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.loader import decode_in_order
from regraft.data.manifest import Entry
from regraft.data.photo_task import LoadPhoto
from regraft.data.preprocessing import normalise
from regraft.data.threads import map_in_order
from regraft.errors import ConfigError, did_you_mean
from regraft.features.engine import EagerEngine, Engine
from regraft.features.engine_costs import certify_seconds, photos_per_second, setup_cost
from regraft.features.extract import feature_keys
from regraft.features.graph_engines import OnnxEngine
from regraft.features.machine_facts import machine_id, read_fact, write_fact
from regraft.features.openvino_engine import OpenVinoEngine
from regraft.features.processor import has_bf16
from regraft.features.store import FeatureStore
from regraft.models.backbone import Backbone

REFERENCE = "eager fp32"
"""Torch in single precision: it needs no certificate."""

MIN_COSINE = 0.999
"""Cosine to the reference that the features of each photo must reach."""

_REDUCED_PRECISIONS = ("bf16", "mixed")
"""Precisions that may lose too much of a network."""

_MIN_BENEFIT_RATIO = 2.0
"""How many times the seconds at stake bfloat16 must save before it is tried: many networks lose too much by it. Where
one engine has lost too much, no other is tried, for the rounding is the same."""

_BF16_UNSAFE_WEIGHTS = frozenset({"a856fc91b84730cb46bc02804bbcfc1f9d211eb67f18b27835d222f60168681c"})
"""Weights that are known to lose too much in bfloat16, so that nobody's first run need find it out: the default ones,
whose least cosine on 16 photos was 0.9975 on every processor and in every folder that was tried."""

_REFERENCE_BATCH = 8
"""Photos that go through the network as it is in one batch."""

CERTIFICATION_PHOTOS = 16
"""Real photos that an engine is certified on."""

_ENGINES: dict[str, Callable[[Backbone, torch.device], Engine]] = {
    REFERENCE: lambda backbone, device: EagerEngine(backbone, device=device),
    "eager bf16": lambda backbone, device: EagerEngine(backbone, device=device, precision="bf16"),
    "ONNX Runtime fp32": lambda backbone, _: OnnxEngine(backbone),
    "OpenVINO fp32": lambda backbone, _: OpenVinoEngine(backbone),
    "OpenVINO bf16": lambda backbone, _: OpenVinoEngine(backbone, precision="bf16"),
    "OpenVINO mixed": lambda backbone, _: OpenVinoEngine(backbone, precision="mixed"),
}


_FUTURE_COST_SHARE = 0.25
"""Share of what a later run finds ready (a graph, a certificate) that is not counted against this one: of two that are
done at about the same time, the one that will be faster next time is taken."""


class _Cost(NamedTuple):
    """What an engine costs in all, what of that counts, and what is lost where it is not certified then."""

    seconds: float
    weighted: float
    at_risk: float
    title: str
    engine: Engine


@dataclass(frozen=True)
class EngineChoice:
    """An engine, and why it was chosen."""

    title: str
    why: str
    engine: Engine | None = None
    """The engine itself where it was made ready for the choice."""

    def engine_for(self, backbone: Backbone, device: torch.device | str = "cpu") -> Engine:
        """Return the engine for ``backbone``, which is what it was chosen for."""
        return make_engine(self.title, backbone, device) if self.engine is None else self.engine


def make_engine(title: str, backbone: Backbone, device: torch.device | str = "cpu") -> Engine:
    """Return the engine called ``title``, such as ``"ONNX Runtime fp32"``; nothing is made ready yet.

    Raises:
        ConfigError: there is none of that name.
        MissingExtraError: its package is not installed.
    """
    if title not in _ENGINES:
        raise ConfigError(f"no engine is called {title!r}{did_you_mean(title, _ENGINES)}")
    return _ENGINES[title](backbone, torch.device(device))


def certified_engine(title: str, backbone: Backbone, device: torch.device, weights: str | None = None) -> Engine:
    """Return the engine called ``title`` where it was certified for this network on this machine, else the reference.

    Args:
        title: such as one that a model file names; nothing of it need be known here.
        backbone: the network.
        device: where it should run.
        weights: their hash, where it is known; found out if None.
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
    """Return the engine that has the features of ``entries`` soonest.

    Args:
        backbone: what it runs.
        entries: the photos.
        store: what is in it need not be computed.
        device: where the network may run; anything but a processor is torch's own.
        workers: threads that decode the photos of the certification.
        bf16: whether bfloat16 may be used.
        missing: how many photos an engine that has run here before would have to compute; by default those
            ``entries`` whose features are not in the store. One that has none left to compute is taken.
        weights: their hash, where it is known; found out if None.
    """
    if torch.device(device).type != "cpu":
        return EngineChoice(REFERENCE, f"torch is what runs on {device}")
    weights = weights or backbone.weights_hash()
    costs: list[_Cost] = []
    failed = {"bf16"} if weights in _BF16_UNSAFE_WEIGHTS else set()  # precisions that lose too much of this network
    for title in candidates(bf16=bf16):
        engine = make_engine(title, backbone)
        engine.set_weights_hash(weights)
        verdict = certificate(engine, backbone, weights)
        hopeless = len(entries) < CERTIFICATION_PHOTOS if verdict is None else verdict < MIN_COSINE
        if title != REFERENCE and hopeless:
            failed |= set() if verdict is None else {title.split()[-1]}
            continue
        left = missing(engine) if missing else _count_missing(engine, backbone, weights, entries, store)
        if not left and entries and (title == REFERENCE or verdict is not None):
            return EngineChoice(title, "it has computed all of them before")
        ready = setup_cost(engine, backbone, weights)
        trial = certify_seconds(engine, backbone) if title != REFERENCE and verdict is None else 0.0
        cost = ready.seconds + trial + left / photos_per_second(title, backbone)
        at_risk = ready.seconds + trial if trial and title.endswith(_REDUCED_PRECISIONS) else 0.0
        costs.append(_Cost(cost, cost - _FUTURE_COST_SHARE * (ready.reusable + trial), at_risk, title, engine))
    safe = min(c.weighted for c in costs if not c.at_risk)
    for c in sorted(costs, key=lambda c: c.weighted):
        if c.at_risk and (safe - c.weighted < _MIN_BENEFIT_RATIO * c.at_risk or c.title.split()[-1] in failed):
            continue
        if c.title == REFERENCE or _is_certified(c.engine, backbone, weights, entries, workers):
            return EngineChoice(
                c.title, f"{len(entries):,} photos in about {c.seconds:.1f} s, set-up included", c.engine
            )
        failed.add(c.title.split()[-1])
    return EngineChoice(REFERENCE, "no other is certified")


def candidates(*, bf16: bool = True) -> list[str]:
    """Return the engines that can run here; of those that cost the same the first is taken."""
    found = []
    for title in _ENGINES:
        if title.endswith(_REDUCED_PRECISIONS) and not (bf16 and has_bf16()):
            continue
        if title.startswith("OpenVINO") and not _installed("openvino"):
            continue
        if title.startswith("ONNX") and not _installed("onnxruntime"):
            continue
        found.append(title)
    return found


def certificate(engine: Engine, backbone: Backbone, weights_hash: str) -> float | None:
    """Return the least cosine to the reference that was found for ``engine`` here, or None if it was not tried."""
    known = read_fact(_certificate_key(engine, backbone, weights_hash))
    return float(known) if isinstance(known, (int, float)) else None


def certify(engine: Engine, backbone: Backbone, pixels: NDArray[np.uint8]) -> float:
    """Return the least cosine between the features of ``engine`` and those of the reference, and keep it.

    Args:
        engine: what is to be certified; one that cannot run the network gets 0.
        backbone: the network.
        pixels: of real photos, shape (n, H, W, 3), uint8.
    """
    weights = backbone.weights_hash()
    with ThreadPoolExecutor(1, thread_name_prefix="regraft-reference") as beside:  # an export leaves cores idle
        reference = beside.submit(_reference_features, backbone, pixels)
        cosine = _least_cosine(engine, pixels, reference)
    write_fact(_certificate_key(engine, backbone, weights), round(cosine, 7))
    return cosine


def _least_cosine(engine: Engine, pixels: NDArray[np.uint8], reference: Future[NDArray[np.float32]]) -> float:
    try:
        found = run_all(engine, pixels)
    except Exception:  # noqa: BLE001  (torch and the engines raise all kinds where they cannot take a network)
        return 0.0
    expected = reference.result()
    found, expected = found.reshape(len(found), -1), expected.reshape(len(expected), -1)
    if found.shape != expected.shape:
        return 0.0
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    cosine = float(((found * expected).sum(axis=1) / np.maximum(lengths, 1e-30)).min())
    return cosine if np.isfinite(cosine) else 0.0


@torch.inference_mode()
def _reference_features(backbone: Backbone, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the network itself makes of photos, operation by operation, in single precision."""
    p, network = backbone.spec.preprocessing, backbone.network
    parts = [network(normalise(pixels[i : i + _REFERENCE_BATCH], p)) for i in range(0, len(pixels), _REFERENCE_BATCH)]
    features: NDArray[np.float32] = torch.cat(parts).float().cpu().numpy()
    return features


def _is_certified(
    engine: Engine, backbone: Backbone, weights_hash: str, entries: Sequence[Entry], workers: int | None
) -> bool:
    verdict = certificate(engine, backbone, weights_hash)
    if verdict is None:
        pixels = real_photos(entries, backbone, workers)
        verdict = certify(engine, backbone, pixels) if len(pixels) >= CERTIFICATION_PHOTOS // 2 else 0.0
    return verdict >= MIN_COSINE


def real_photos(entries: Sequence[Entry], backbone: Backbone, workers: int | None = None) -> NDArray[np.uint8]:
    """Return up to `CERTIFICATION_PHOTOS` decodable photos, chosen by content hash: (n, H, W, 3), uint8."""
    p = backbone.spec.preprocessing
    some = sorted(entries, key=lambda entry: entry.content)[:CERTIFICATION_PHOTOS]
    batches = decode_in_order(some, LoadPhoto(p), batch_size=CERTIFICATION_PHOTOS, workers=workers)
    return np.concatenate([np.empty((0, p.height, p.width, 3), np.uint8), *(b.pixels for b in batches if len(b.index))])


def _count_missing(
    engine: Engine, backbone: Backbone, weights: str, entries: Sequence[Entry], store: FeatureStore
) -> int:
    if not engine.verified:  # it has never run here
        return len(entries)
    keys = [key for key in feature_keys(entries, backbone, weights, engine.numerics) if key is not None]
    return len(store.missing(keys)) + len(entries) - len(keys)


def run_all(engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the features of any number of photos, (n, H, W, 3), uint8."""
    size, streams = engine.batch_size, engine.parallel_batches
    batches = (pixels[i : i + size] for i in range(0, len(pixels), size))
    return np.concatenate(
        [*map_in_order(engine.run, batches, workers=streams if streams > 1 else 0, ahead=streams + 1)]
    )


def _certificate_key(engine: Engine, backbone: Backbone, weights_hash: str) -> str:
    network = f"{weights_hash} / {backbone.spec.preprocessing.id}"
    return f"cosine / {engine.title} / {engine.versions} / {network} / {machine_id()}"


def _installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None
