"""One network in use, and the heads on its features: its own engine, preprocessing and entries in the feature store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.fixed_views import FIRST_CROP, fixed_view, fixed_view_task, view_name, view_size
from regraft.data.manifest import Entry
from regraft.errors import DecodeError
from regraft.features.engine import Engine
from regraft.features.engine_choice import certified_engine
from regraft.features.extract import Features, extract
from regraft.features.store import FeatureStore
from regraft.inference.pictures import Picture
from regraft.models.backbone import Backbone
from regraft.models.classifier import Classifier
from regraft.screen import Bar


class HeadLogits:
    """The logits of one classifier from the features of its network.

    Args:
        classifier: the classifier, which must not be trained any more.
        member: its number in the ensemble.
        start: column of its first feature among the features of the pass.
    """

    def __init__(self, classifier: Classifier, member: int = 0, start: int = 0) -> None:
        self.member = member
        self._columns = slice(start, start + classifier.backbone.spec.num_features)
        weight, bias = classifier.linear_head()
        self._weight, self._bias = weight.cpu().double().numpy(), bias.cpu().double().numpy()
        self._novelty = classifier.novelty
        bounds = classifier.feature_bounds
        self._bounds = None if bounds is None else [bound.float().cpu().numpy() for bound in bounds]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the logits for features: shape (n, D) to shape (n, C). One photo at a time, so that bits are equal."""
        logits = np.empty((len(features), len(self._bias)))
        for row, values in enumerate(features):
            feature = values[self._columns]
            clipped = feature if self._bounds is None else np.clip(feature, *self._bounds)
            logits[row] = self._weight @ clipped.astype(np.float64) + self._bias
        return logits

    def novelty(self, features: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """Return how unlike the training photos features are: shape (n, D) to shape (n,); None if it is not known."""
        if self._novelty is None:
            return None
        return np.array([self._novelty.of(row[self._columns]) for row in features], dtype=np.float64)


class NetworkPass:
    """A pass of photos through one network.

    Args:
        backbone: the network, which must not be trained any more.
        heads: the classifiers that take its features.
        engine: name of its engine on the CPU, used if it is installed and certified for the network, else torch.
        device: device of the network.
        workers: number of decoding threads; None for the default.
    """

    def __init__(
        self, backbone: Backbone, heads: Sequence[HeadLogits], engine: str, device: torch.device, workers: int | None
    ) -> None:
        self.heads, self.title = tuple(heads), engine
        self._backbone, self._device, self._workers = backbone, device, workers

    @cached_property
    def engine(self) -> Engine:
        """The engine that runs the network; it is chosen once, before the first photo."""
        return certified_engine(self.title, self._backbone, self._device, self._hash)

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

    def novelties(self, features: NDArray[np.float32]) -> list[NDArray[np.float64]]:
        """Return how unlike the training photos features are, by each head that measures it: (n, D) to (n,)."""
        return [novelty for head in self.heads if (novelty := head.novelty(features)) is not None]

    def picture_features(
        self, pictures: Sequence[Picture], view: int, failed: dict[int, str], bar: Bar | None
    ) -> NDArray[np.float32]:
        """Return the features of a view of pictures in memory, shape (n, D); those that cannot be decoded have zeros.

        Args:
            pictures: the pictures.
            view: number of the view.
            failed: reasons by position; those of pictures that cannot be decoded are added.
            bar: advances by one for each picture.
        """
        p, size = self._backbone.spec.preprocessing, self.engine.batch_size
        blank = np.zeros((p.height, p.width, 3), np.uint8)
        parts = []
        for start in range(0, len(pictures), size):
            batch = []
            for position, picture in enumerate(pictures[start : start + size], start=start):
                try:
                    batch.append(blank if position in failed else self._pixels(picture, view))
                except DecodeError as error:
                    failed[position] = str(error)
                    batch.append(blank)
            parts.append(self.engine.run(np.stack(batch)))
            if bar is not None:
                bar.advance(len(batch))
        return np.concatenate(parts)

    def _pixels(self, picture: Picture, view: int) -> NDArray[np.uint8]:
        """Return the pixels of a view of a picture, shape (H, W, 3), decoded as those of a file are."""
        p = self._backbone.spec.preprocessing
        at_least = p.at_least if view < FIRST_CROP else view_size(p, view, picture.content)
        content = picture.content if view >= FIRST_CROP else ""
        return fixed_view(picture.rgb(p.rendering, at_least), p, view, content)
