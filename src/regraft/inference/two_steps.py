"""Predictions in two steps, for servers: the pixels of a photo on any thread, and the networks on several photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from regraft.data.loading.fixed_views import FIRST_CROP
from regraft.data.loading.photo_task import mirror
from regraft.data.preprocessing import Preprocessing
from regraft.features.engines.engine_interface import Engine
from regraft.inference.network_pass import NetworkPass
from regraft.inference.pass_predictor import PassPredictor
from regraft.inference.pictures import Picture
from regraft.inference.prediction import Prediction


@dataclass(frozen=True)
class PhotoPixels:
    """The pixels of a photo for each view and each network.

    Attributes:
        name: for the prediction.
        pixels: shape (H, W, 3) each, uint8; all networks for the first view, then those for the next view.
    """

    name: str
    pixels: tuple[NDArray[np.uint8], ...]


class TwoStepPredictor:
    """A predictor whose two steps are called by different threads; its predictions have the same bits.

    Args:
        predictor: the predictor.
        engine_of: returns the engine to use in place of each engine of the predictor, with the same bits.
        lone_engine_of: returns the engine to use in place of one of those for a photo while no other photo waits.
    """

    def __init__(
        self,
        predictor: PassPredictor,
        engine_of: Callable[[Engine], Engine],
        lone_engine_of: Callable[[Engine], Engine] = lambda engine: engine,
    ) -> None:
        self._predictor, self._passes = predictor, predictor.network_passes
        self._engines = tuple(engine_of(network.engine) for network in self._passes)
        self._lone_engines = tuple(map(lone_engine_of, self._engines))

    @property
    def batch_size(self) -> int:
        """Photos in a batch of the network with the smallest batches."""
        return min(engine.batch_size for engine in self._engines)

    @property
    def parallel_batches(self) -> int:
        """Number of batches that may run at the same time, each on its own thread."""
        return min(engine.parallel_batches for engine in self._engines)

    @property
    def engine_titles(self) -> tuple[str, ...]:
        """Name of the engine of each network, such as ``"ONNX Runtime fp32"``."""
        return tuple(engine.title for engine in self._engines)

    def pixels_of(self, name: str, photo: bytes) -> PhotoPixels:
        """Return the pixels of a photo.

        Raises:
            DecodeError: the photo cannot be decoded.
        """
        photo_views, views = _PhotoViews(Picture(name, photo)), range(self._predictor.views)
        return PhotoPixels(name, tuple(photo_views.pixels(one, view) for view in views for one in self._passes))

    def predict(self, photos: Sequence[PhotoPixels], *, alone: bool = False) -> list[Prediction]:
        """Return the prediction for each photo; ``alone`` if no other photo waits."""
        predictions = _predictions(self._predictor, self._lone_engines if alone else self._engines, photos)
        close = self._predictor.close_answers
        if close is None:
            return predictions
        pairs = zip(photos, predictions, strict=True)
        return [close.decide(prediction, partial(_by_reference, photo=photo)) for photo, prediction in pairs]


class _PhotoViews:
    """Views of a photo, which is decoded once for its mirror image and for networks with the same preprocessing."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._plain: dict[Preprocessing, NDArray[np.uint8]] = {}

    def pixels(self, network: NetworkPass, view: int) -> NDArray[np.uint8]:
        """Return the pixels of a view for a network, shape (H, W, 3), as `NetworkPass.pixels` does."""
        if view >= FIRST_CROP:
            return network.pixels(self._picture, view)
        p = network.network.spec.preprocessing
        if p not in self._plain:
            self._plain[p] = network.pixels(self._picture, 0)
        return mirror(self._plain[p]) if view else self._plain[p]


def _by_reference(reference: PassPredictor, photo: PhotoPixels) -> Prediction:
    return _predictions(reference, [network.engine for network in reference.network_passes], [photo])[0]


def _predictions(
    predictor: PassPredictor, engines: Sequence[Engine], photos: Sequence[PhotoPixels]
) -> list[Prediction]:
    """Return the predictions for photos, by an engine for each pass of a predictor."""
    passes = predictor.network_passes

    def features_of(network: NetworkPass, view: int) -> NDArray[np.float32]:
        number = passes.index(network)
        position = view * len(passes) + number
        return _features(engines[number], [photo.pixels[position] for photo in photos])

    values, novelty = predictor.combined(len(photos), features_of)
    return predictor.predictions([photo.name for photo in photos], values, novelty)


def _features(engine: Engine, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    size = engine.batch_size
    batches = (pixels[start : start + size] for start in range(0, len(pixels), size))
    return np.concatenate([engine.run(np.stack(batch)) for batch in batches])
