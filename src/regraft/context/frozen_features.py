"""The features of the frozen networks of a run: those of several networks stand side by side in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from regraft.context.network_features import NetworkFeatures
from regraft.data.manifest import Entry
from regraft.disk.row_table import leading_columns, side_by_side, take
from regraft.features.engines.engine_interface import Engine


@dataclass(frozen=True)
class FrozenFeatures:
    """The features of all networks of a run.

    Each network has its own engine and its own entries in the cache. So an earlier run of one of them has computed its
    features already, and a new photo costs one pass through each network.

    Attributes:
        networks: the features of each network, in the order of the configuration.
    """

    networks: tuple[NetworkFeatures, ...]

    @property
    def first(self) -> NetworkFeatures:
        """The first network. It finds duplicates, and fine-tuning trains it."""
        return self.networks[0]

    @property
    def engine(self) -> Engine:
        """The engine of the first network."""
        return self.first.engine

    @property
    def weights(self) -> str:
        """Hash of the weights of each network, in one text."""
        return "+".join(network.weights for network in self.networks)

    @property
    def preprocessing(self) -> str:
        """ID of the preprocessing of each network, in one text."""
        return "+".join(network.backbone.spec.preprocessing.id for network in self.networks)

    @property
    def numerics(self) -> str:
        """Numerics of each engine, in one text."""
        return "+".join(network.engine.numerics for network in self.networks)

    @property
    def only_first(self) -> Self:
        """The features of the first network alone."""
        return type(self)(self.networks[:1])

    def of(self, entries: Sequence[Entry], view: int = 0) -> NDArray[np.float32]:
        """Return the features of a view of ``entries``, shape (n, D), float32; D is the sum over all networks.

        Args:
            entries: photos that can be decoded.
            view: number of the view; 0 is the plain photo.

        Raises:
            PhotosError: a photo has changed or disappeared during the run.
        """
        return side_by_side([network.of(entries, view) for network in self.networks])

    def of_readable(self, entries: Sequence[Entry]) -> tuple[list[Entry], NDArray[np.float32]]:
        """Return those of ``entries`` that every network can decode, and their features, shape (n, D)."""
        readable, tables = list(entries), list[NDArray[np.float32]]()
        for network in self.networks:
            result = network.extract(readable)
            top = leading_columns(result.values, network.backbone.spec.top_features)
            tables = [*(take(table, result.rows) for table in tables), top]
            readable = [readable[row] for row in result.rows.tolist()]
        return readable, side_by_side(tables)
