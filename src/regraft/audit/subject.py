"""`Subject`: the input of the checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from regraft.audit.duplicates import Duplicates
from regraft.audit.photo_stats import PhotoStats
from regraft.audit.series import SeriesEffect
from regraft.data.manifest import Entry, Manifest


@dataclass(frozen=True)
class Subject:
    """The photos with everything that was computed for them.

    Attributes:
        manifest: every file with its class, side and status.
        class_names: names of all classes of the folder, including those without a usable photo.
        entries: the usable photos.
        photo_stats: their stats.
        features: their features, shape (n, d), float32.
        duplicates: the duplicates among them.
        probabilities: out-of-fold class probabilities, shape (n, k), float64; None if there are too few photos for
            cross-validation.
        split_given: whether the folder or the CSV has a split.
        series: losses of accuracy in blocks of photos that were probably taken together.
    """

    manifest: Manifest
    class_names: Sequence[str]
    entries: Sequence[Entry]
    photo_stats: Sequence[PhotoStats]
    features: NDArray[np.float32]
    duplicates: Duplicates
    probabilities: NDArray[np.float64] | None = None
    split_given: bool = False
    series: Sequence[SeriesEffect] = ()

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Class index of each photo, shape (n,)."""
        index = {name: i for i, name in enumerate(self.manifest.classes)}
        return np.array([index[entry.label] for entry in self.entries], dtype=np.int64)

    @cached_property
    def groups(self) -> list[str]:
        """Id of each photo's group of duplicates; a photo without duplicates has its content hash."""
        return [self.duplicates.groups.get(entry.content, entry.content) for entry in self.entries]

    def names(self, positions: Sequence[int]) -> tuple[str, ...]:
        """Return the names of the photos at ``positions``."""
        return tuple(self.entries[i].name for i in positions)
