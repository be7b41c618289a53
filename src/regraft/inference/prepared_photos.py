"""Predictions in two steps, for servers: the pixels of a photo on any thread, and the networks on several photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.features.engine_interface import Engine
from regraft.inference.pictures import Picture
from regraft.inference.prediction import Prediction
from regraft.inference.predictor import Predictor
from regraft.models.feature_novelty import mean_novelty


@dataclass(frozen=True)
class PreparedPhoto:
    """The pixels of a photo for each view and each network.

    Attributes:
        name: for the prediction.
        pixels: shape (H, W, 3) each, uint8; all networks for the first view, then those for the next view.
    """

    name: str
    pixels: tuple[NDArray[np.uint8], ...]


class TwoStepPredictor:
    """A `Predictor` whose two steps are called by different threads; its predictions have the same bits.

    Args:
        predictor: the predictor.
        engine_of: returns the engine to use in place of each engine of the predictor, with the same bits.
    """

    def __init__(self, predictor: Predictor, engine_of: Callable[[Engine], Engine]) -> None:
        self._predictor = predictor
        self._engines = tuple(engine_of(network.engine) for network in predictor._passes)

    @property
    def batch_size(self) -> int:
        """Photos in a batch of the network with the smallest batches."""
        return min(engine.batch_size for engine in self._engines)

    @property
    def parallel_batches(self) -> int:
        """Number of batches that may run at the same time, each on its own thread."""
        return min(engine.parallel_batches for engine in self._engines)

    def prepare(self, name: str, photo: bytes) -> PreparedPhoto:
        """Return the pixels of a photo.

        Raises:
            DecodeError: the photo cannot be decoded.
        """
        picture, views = Picture(name, photo), range(self._predictor.views)
        pixels = [network._pixels(picture, view) for view in views for network in self._predictor._passes]
        return PreparedPhoto(name, tuple(pixels))

    def predict(self, photos: Sequence[PreparedPhoto]) -> list[Prediction]:
        """Return the prediction for each of some photos."""
        predictor = self._predictor
        values = np.zeros((len(photos), len(predictor.classes)))
        novelty: NDArray[np.float64] | None = None
        for view in range(predictor.views):
            logits: dict[int, NDArray[np.float64]] = {}
            novelties: list[NDArray[np.float64]] = []
            for number, (network, engine) in enumerate(zip(predictor._passes, self._engines, strict=True)):
                position = view * len(self._engines) + number
                features = _features(engine, [photo.pixels[position] for photo in photos])
                logits |= {head.member: head.logits(features) for head in network.heads}
                novelties += network.novelties(features)
            values += predictor._mix.probabilities(logits)
            novelty = mean_novelty(novelties) if view == 0 else novelty
        return [
            predictor._prediction(photo.name, row / predictor.views, None if novelty is None else float(novelty[place]))
            for place, (photo, row) in enumerate(zip(photos, values, strict=True))
        ]


def _features(engine: Engine, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    size = engine.batch_size
    batches = (pixels[start : start + size] for start in range(0, len(pixels), size))
    return np.concatenate([engine.run(np.stack(batch)) for batch in batches])
