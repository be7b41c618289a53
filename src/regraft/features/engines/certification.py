"""Certification of engines: on real photos, their features must point where those of torch in single precision do."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.loading.loader import decode_in_order
from regraft.data.loading.photo_task import LoadPhoto
from regraft.data.manifest import Entry
from regraft.data.preprocessing import normalise
from regraft.features.engines.engine_interface import Engine, map_batches
from regraft.features.engines.machine_facts import machine_id, read_fact, write_fact
from regraft.models.backbone import Backbone
from regraft.models.spec import BackboneSpec

MIN_COSINE = 0.999
"""Minimum cosine similarity between each photo's features and the reference."""

_REFERENCE_BATCH = 8
"""Photos per batch when the reference features are computed."""

CERTIFICATION_PHOTOS = 16
"""Number of real photos for a certification."""


def certificate(engine: Engine, backbone: Backbone, weights_hash: str) -> float | None:
    """Return the recorded minimum cosine between ``engine`` and the reference on this machine, or None."""
    recorded = read_fact(_certificate_key(engine, backbone, weights_hash))
    return float(recorded) if isinstance(recorded, (int, float)) else None


def certify(engine: Engine, backbone: Backbone, pixels: NDArray[np.uint8]) -> float:
    """Measure, record and return the minimum cosine between the features of ``engine`` and the reference.

    Args:
        engine: engine to certify. If it cannot run the network, the result is 0.
        backbone: the network.
        pixels: real photos, shape (n, H, W, 3), uint8.
    """
    weights = backbone.weights_hash()
    with ThreadPoolExecutor(1, thread_name_prefix="regraft-reference") as executor:  # an export leaves cores idle
        reference = executor.submit(_reference_features, backbone, pixels)
        cosine = _minimum_cosine(engine, backbone.spec, pixels, reference)
    write_fact(_certificate_key(engine, backbone, weights), round(cosine, 7))
    return cosine


def _minimum_cosine(
    engine: Engine, spec: BackboneSpec, pixels: NDArray[np.uint8], reference: Future[NDArray[np.float32]]
) -> float:
    """Return the lowest cosine of any photo, of the top features and of each pooled block by itself."""
    try:
        features = run_all(engine, pixels)
    except Exception:  # noqa: BLE001  (torch and the engines raise all kinds where they cannot take a network)
        return 0.0
    expected = reference.result()
    features, expected = features.reshape(len(features), -1), expected.reshape(len(expected), -1)
    if features.shape != expected.shape:
        return 0.0
    ends = np.cumsum([spec.top_features, *(2 * channels for channels in spec.pooled)])[:-1]
    parts = zip(np.split(features, ends, axis=1), np.split(expected, ends, axis=1), strict=True)
    return min(_lowest_cosine(part, reference) for part, reference in parts)


def _lowest_cosine(features: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the lowest cosine between two features of the same photo, shape (n, D); 0 if one is not finite."""
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(expected, axis=1)
    cosine = float(((features * expected).sum(axis=1) / np.maximum(lengths, 1e-30)).min())
    return cosine if np.isfinite(cosine) else 0.0


@torch.inference_mode()
def _reference_features(backbone: Backbone, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the features of the unmodified network in single precision, shape (n, D)."""
    p, network = backbone.spec.preprocessing, backbone.network
    parts = [network(normalise(pixels[i : i + _REFERENCE_BATCH], p)) for i in range(0, len(pixels), _REFERENCE_BATCH)]
    features: NDArray[np.float32] = torch.cat(parts).float().cpu().numpy()
    return features


def is_certified(
    engine: Engine, backbone: Backbone, weights_hash: str, entries: Sequence[Entry], workers: int | None
) -> bool:
    """Return whether ``engine`` is certified; certify it on photos of ``entries`` if it was not tried before.

    With too few decodable photos, it is not certified.
    """
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


def run_all(engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the features of any number of photos, (n, H, W, 3), uint8, with shape (n, D), float32."""
    size = engine.batch_size
    batches = (pixels[i : i + size] for i in range(0, len(pixels), size))
    return np.concatenate([*map_batches(engine, engine.run, batches)])


def _certificate_key(engine: Engine, backbone: Backbone, weights_hash: str) -> str:
    network = f"{weights_hash} / {backbone.spec.preprocessing.id}"
    return f"cosine / {engine.title} / {engine.versions} / {network} / {machine_id()}"
