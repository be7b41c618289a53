"""Frozen networks in use, one per process for all clones of an estimator."""

from __future__ import annotations

import functools
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.threads import workers_or_default
from regraft.errors import PhotosError, WeightsError
from regraft.features.engines.engine_choice import REFERENCE, certified_engine, choose_engine
from regraft.features.engines.engine_interface import Engine
from regraft.features.extract import extract
from regraft.features.stores.disk_store import DiskStore
from regraft.features.stores.store import FeatureStore, MemoryStore
from regraft.inference.device import pick_device
from regraft.models.backbone import Backbone
from regraft.models.own_weights import own_weights
from regraft.models.zoo import build_backbone
from regraft.sklearn.photo_inputs import PhotoForm, PhotoInputs
from regraft.text import shorten

_SHOWN = 5


@dataclass(frozen=True)
class NetworkChoice:
    """A pretrained network.

    Attributes:
        backbone: its name in timm.
        weights: a file of weights or a run, or None for the pretrained weights.
        size: height and width of the input in pixels, or None for those of the pretraining.
        device: where it runs.
        changed: when the file of weights was changed, in nanoseconds, so that another file is read again.
    """

    backbone: str
    weights: str | None
    size: int | None
    device: str
    changed: int = 0

    @classmethod
    def of(cls, backbone: str, weights: Path | str | None, size: int | None, device: str) -> NetworkChoice:
        """Return the choice with the time of the file of weights.

        Raises:
            WeightsError: the file of weights is missing.
        """
        if weights is None:
            return cls(backbone, None, size, device)
        own = own_weights(Path(weights))
        file = Path(weights) if own is None else own.file
        try:
            changed = file.stat().st_mtime_ns
        except OSError as error:
            raise WeightsError(f"weights: {file} cannot be read: {error.strerror or error}") from error
        return cls(backbone, str(file), size, device, changed)


class SharedNetwork:
    """A frozen network with its engines.

    Args:
        backbone: the network.
        device: where it runs.

    Attributes:
        weights_hash: SHA-256 of its weights.
    """

    def __init__(self, backbone: Backbone, device: torch.device) -> None:
        self.backbone, self._device = backbone, device
        self.weights_hash = backbone.weights_hash()
        self._engines: dict[str, Engine] = {}
        self._lock = threading.Lock()

    def fastest_engine(self, photos: PhotoInputs, *, cache: bool, workers: int | None) -> str:
        """Return the name of the engine that is done with ``photos`` soonest.

        For pictures in memory it is the reference: other engines are certified on files.
        """
        if photos.pictures or not photos.entries:
            return REFERENCE
        choice = choose_engine(
            self.backbone,
            photos.entries,
            _store(cache),
            device=self._device,
            workers=workers,
            weights=self.weights_hash,
        )
        return choice.title

    def features(self, photos: PhotoInputs, engine: str, *, cache: bool, workers: int | None) -> NDArray[np.float32]:
        """Return the features of photos, shape (n, D), float32.

        Args:
            photos: the photos.
            engine: name of the engine; the reference if it is not certified on this machine.
            cache: whether features are read from the feature store, and written to it.
            workers: number of decoding threads.

        Raises:
            PhotosError: a photo cannot be read.
        """
        unread = [(entry.name, entry.why) for entry in photos.entries if entry.status != "ok"]
        _check_all_read(unread, len(photos.entries))
        with self._lock:
            if engine not in self._engines:
                self._engines[engine] = certified_engine(engine, self.backbone, self._device, self.weights_hash)
            result = extract(
                photos.entries,
                self.backbone,
                self._engines[engine],
                _store(cache),
                load=photos.load(self.backbone.spec.preprocessing),
                weights=self.weights_hash,
                workers=workers,
            )
        _check_all_read([(photos.entries[row].name, why) for row, why in result.failed], len(photos.entries))
        return np.asarray(result.values)

    def inputs(self, photos: list[PhotoForm], workers: int | None) -> PhotoInputs:
        """Return photos with their content hashes."""
        return PhotoInputs.hashed(photos, self.backbone.spec.preprocessing, workers_or_default(workers))


def _check_all_read(failed: list[tuple[str, str]], total: int) -> None:
    if failed:
        listed = shorten([f"{name} ({why})" for name, why in failed], _SHOWN)
        raise PhotosError(
            f"X: {len(failed):,} of {total:,} photos cannot be read: {listed}\n"
            "  leave them out of X and y: an estimator of scikit-learn cannot skip rows"
        )


@functools.lru_cache(maxsize=4)
def shared_network(choice: NetworkChoice) -> SharedNetwork:
    """Return the network of a choice, built once per process.

    Raises:
        BackboneError, WeightsError: the network is unknown or unavailable.
        ConfigError: the device is not available.
    """
    device = pick_device(choice.device)
    backbone = build_backbone(choice.backbone, weights=choice.weights, size=choice.size)
    backbone.network.to(device)
    return SharedNetwork(backbone, device)


def _store(cache: bool) -> FeatureStore:
    return DiskStore(warn=lambda message: warnings.warn(message, stacklevel=2)) if cache else MemoryStore()
