"""One network in use, and the heads on its features: its own engine, preprocessing and entries in the feature store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from regraft.data.loading.fixed_views import FIRST_CROP, fixed_view, fixed_view_task, view_name, view_size
from regraft.data.manifest import Entry
from regraft.errors import DecodeError
from regraft.features.engines.engine_interface import Engine
from regraft.features.extract import Features, Network, extract
from regraft.features.stores.store import FeatureStore
from regraft.inference.head_logits import HeadLogits
from regraft.inference.pictures import Picture
from regraft.screen import Bar


class NetworkPass:
    """A pass of photos through one network.

    Args:
        network: the network, which must not be trained any more.
        heads: the classifiers that take its features.
        title: name of the engine that is wanted on the CPU.
        open_engine: returns the engine, which knows the hash of the weights; it is called before the first photo.
        workers: number of decoding threads; None for the default.
    """

    def __init__(
        self,
        network: Network,
        heads: Sequence[HeadLogits],
        title: str,
        open_engine: Callable[[], Engine],
        workers: int | None,
    ) -> None:
        self.network, self.heads, self.title = network, tuple(heads), title
        self._open_engine, self._workers = open_engine, workers
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    @property
    def engine(self) -> Engine:
        """The engine that runs the network; it is chosen once, before the first photo."""
        with self._lock:  # several threads may be the first
            if self._engine is None:
                self._engine = self._open_engine()
            return self._engine

    def release_engine(self) -> None:
        """Free the memory of the engine; the next use opens it again."""
        with self._lock:
            self._engine = None

    @property
    def runs_in_parallel(self) -> bool:
        """True if several threads may decode and run a batch each, without one waiting for another."""
        return self._workers is None and self.engine.parallel_batches > 1

    def features(
        self, entries: Sequence[Entry], view: int, store: FeatureStore | None, bar: Bar | None, alone: bool = False
    ) -> Features:
        """Return the features of a view of ``entries``; those in ``store`` are not computed again.

        With ``alone``, all work is done in the calling thread.
        """
        return extract(
            entries,
            self.network,
            self.engine,
            store,
            load=fixed_view_task(self.network.spec.preprocessing, view),
            view=view_name(view),
            weights=self.engine.weights,
            workers=self._workers,
            bar=bar,
            alone=alone,
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
        p, size = self.network.spec.preprocessing, self.engine.batch_size
        blank = np.zeros((p.height, p.width, 3), np.uint8)
        parts = []
        for start in range(0, len(pictures), size):
            batch = []
            for position, picture in enumerate(pictures[start : start + size], start=start):
                try:
                    batch.append(blank if position in failed else self.pixels(picture, view))
                except DecodeError as error:
                    failed[position] = str(error)
                    batch.append(blank)
            parts.append(self.engine.run(np.stack(batch)))
            if bar is not None:
                bar.advance(len(batch))
        return np.concatenate(parts)

    def pixels(self, picture: Picture, view: int) -> NDArray[np.uint8]:
        """Return the pixels of a view of a picture, shape (H, W, 3), decoded as those of a file are.

        Raises:
            DecodeError: it cannot be decoded.
        """
        p = self.network.spec.preprocessing
        at_least = p.at_least if view < FIRST_CROP else view_size(p, view, picture.content)
        content = picture.content if view >= FIRST_CROP else ""
        return fixed_view(picture.rgb(p.rendering, at_least), p, view, content)
