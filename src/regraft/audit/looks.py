"""Glances of many photos: taken while the network's features are computed, and kept beside them."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from regraft.audit.glance import VERSION, look
from regraft.audit.glances import Glances
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
        self._lock = Lock()

    def load(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the pixels that the network sees, shape (H, W, 3), uint8, and take a glance on the way.

        It is what `regraft.features.extract.extract` takes as ``load``; threads may call it at once.

        Raises:
            DecodeError: the photo cannot be decoded.
        """
        pixels, glance = look(entry, self._preprocessing)
        self._add(entry, glance.pack())
        return pixels

    def of(self, entries: Sequence[Entry], workers: int | None = None) -> Glances:
        """Return the glance of each photo, but those that cannot be decoded. Those taken are kept in the store."""
        self._keep()
        found = Glances(len(entries))
        for position, kept in self._store.get_many([self._key(entry) for entry in entries]):
            found.put(position, kept)
        missing = found.missing
        workers = default_workers() if workers is None else workers
        taken = in_order(lambda i: self._take(entries[i]), missing, workers=workers, ahead=4 * max(workers, 1))
        for i, row in zip(missing, taken, strict=True):
            if row is not None:
                found.put(i, row)
        self._keep()
        return found

    def _take(self, entry: Entry) -> NDArray[np.float32] | None:
        try:
            row = look(entry, self._preprocessing)[1].pack()
        except (DecodeError, OSError):
            return None
        self._add(entry, row)
        return row

    def _add(self, entry: Entry, row: NDArray[np.float32]) -> None:
        with self._lock:
            self._new[self._key(entry)] = row
            many = len(self._new) >= _AT_ONCE
        if many:
            self._keep()

    def _keep(self) -> None:
        with self._lock:
            new, self._new = self._new, {}
        if new:
            self._store.put_many(new.items(), "glances for the check")

    def _key(self, entry: Entry) -> FeatureKey:
        return feature_key(entry.content, f"{DECODER} {self._preprocessing.id}", "glance", "", "", VERSION)
