"""Logits of one classifier: its own engine, its own preprocessing, its own entries in the feature store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.fixed_views import fixed_view, fixed_view_task, view_name
from regraft.data.manifest import Entry
from regraft.features.engine import Engine
from regraft.features.engine_choice import certified_engine
from regraft.features.extract import Features, extract
from regraft.features.store import FeatureStore
from regraft.models.classifier import Classifier
from regraft.screen import Bar

if TYPE_CHECKING:
    from PIL.Image import Image


class MemberLogits:
    """The logits of one classifier, alone or as a member of an ensemble.

    Args:
        classifier: the classifier, which must not be trained any more.
        engine: name of its engine on the CPU, used if it is installed and certified for its network, else torch.
        device: device of its network.
        workers: number of decoding threads; None for the default.
    """

    def __init__(self, classifier: Classifier, engine: str, device: torch.device, workers: int | None) -> None:
        self._backbone, self._title, self._device, self._workers = classifier.backbone, engine, device, workers
        weight, bias = classifier.linear_head()
        self._weight, self._bias = weight.cpu().double().numpy(), bias.cpu().double().numpy()
        bounds = classifier.feature_bounds
        self._bounds = None if bounds is None else [bound.float().cpu().numpy() for bound in bounds]

    @cached_property
    def engine(self) -> Engine:
        """The engine that runs the network; it is chosen once, before the first photo."""
        return certified_engine(self._title, self._backbone, self._device, self._hash)

    @cached_property
    def _hash(self) -> str:
        return self._backbone.weights_hash()

    def features(self, entries: Sequence[Entry], view: int, store: FeatureStore | None, bar: Bar | None) -> Features:
        """Return the features of a view of ``entries``; those in ``store`` are not computed again."""
        return extract(
            entries,
            self._backbone,
            self.engine,
            store,
            load=fixed_view_task(self._backbone.spec.preprocessing, view),
            view=view_name(view),
            weights=self._hash,
            workers=self._workers,
            bar=bar,
        )

    def image_features(self, image: Image, view: int, content: str) -> NDArray[np.float32]:
        """Return the features of a view of an image in memory, shape (1, D).

        Args:
            image: the image, in RGB.
            view: number of the view.
            content: SHA-256 of the image, in hex; random views depend on it.
        """
        pixels = fixed_view(image, self._backbone.spec.preprocessing, view, content)
        return self.engine.run(pixels[None])

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the logits for features: shape (n, D) to shape (n, C). One photo at a time, so that bits are equal."""
        logits = np.empty((len(features), len(self._bias)))
        for row, feature in enumerate(features):
            clipped = feature if self._bounds is None else np.clip(feature, *self._bounds)
            logits[row] = self._weight @ clipped.astype(np.float64) + self._bias
        return logits
