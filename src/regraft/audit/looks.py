"""Glances of many photos: taken while the network's features are computed, and kept beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regraft.audit.glance import VERSION, Glance, look
from regraft.data.decode import DECODER
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing
from regraft.data.threads import default_workers, in_order
from regraft.errors import DecodeError
from regraft.features.store import FeatureKey, FeatureStore, feature_key

_AT_ONCE = 512


class Looks:
    """Takes glances of photos, or finds them where they were kept.

    Args:
        preprocessing: what the network sees; its pixels are compared to tell copies.
        store: where glances are kept between runs.
    """

    def __init__(self, preprocessing: Preprocessing, store: FeatureStore) -> None:
        self._preprocessing, self._store = preprocessing, store
        self._new: dict[FeatureKey, NDArray[np.float32]] = {}

    def load(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the pixels that the network sees, shape (H, W, 3), uint8, and take a glance on the way.

        It is what `regraft.features.extract.extract` takes as ``load``; threads may call it at once.

        Raises:
            DecodeError: the photo cannot be decoded.
        """
        pixels, glance = look(entry, self._preprocessing)
        self._new[self._key(entry)] = glance.pack()
        return pixels

    def of(self, entries: Sequence[Entry], workers: int | None = None) -> list[Glance | None]:
        """Return the glance of each photo; None where it cannot be decoded. Those taken are kept in the store."""
        self._keep()
        keys = [self._key(entry) for entry in entries]
        found: list[Glance | None] = [None] * len(entries)
        for position, row in self._store.get_many(keys):
            found[position] = Glance.unpack(np.asarray(row, dtype=np.float32))
        missing = [i for i, glance in enumerate(found) if glance is None]
        workers = default_workers() if workers is None else workers
        taken = in_order(lambda i: self._take(entries[i]), missing, workers=workers, ahead=4 * max(workers, 1))
        for i, glance in zip(missing, taken, strict=True):
            found[i] = glance
            if len(self._new) >= _AT_ONCE:
                self._keep()
        self._keep()
        return found

    def _take(self, entry: Entry) -> Glance | None:
        try:
            glance = look(entry, self._preprocessing)[1]
        except (DecodeError, OSError):
            return None
        self._new[self._key(entry)] = glance.pack()
        return glance

    def _keep(self) -> None:
        new, self._new = self._new, {}
        if new:
            self._store.put_many(new.items(), "glances for the check")

    def _key(self, entry: Entry) -> FeatureKey:
        return feature_key(entry.content, f"{DECODER} {self._preprocessing.id}", "glance", "", "", VERSION)
