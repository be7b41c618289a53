"""`Subject`: all that is known of the photos when they are checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from regraft.audit.duplicates import Duplicates
from regraft.audit.photo_stats import PhotoStats
from regraft.data.manifest import Entry, Manifest


@dataclass(frozen=True)
class Subject:
    """What the checks look at.

    Attributes:
        manifest: every file and its fate.
        class_names: names of all classes as they were found, those without a usable photo too.
        entries: the photos that can be used.
        photo_stats: of each of them.
        features: of each, shape (n, d), float32.
        duplicates: which of them are the same picture.
        probabilities: of each class for each photo, out of fold, to doubt labels by, shape (n, k), float64; None where
            nothing could be cross-validated.
        split_given: whether the split was given rather than made by regraft.
    """

    manifest: Manifest
    class_names: Sequence[str]
    entries: Sequence[Entry]
    photo_stats: Sequence[PhotoStats]
    features: NDArray[np.float32]
    duplicates: Duplicates
    probabilities: NDArray[np.float64] | None = None
    split_given: bool = False

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Class index of each photo, shape (n,)."""
        index = {name: i for i, name in enumerate(self.manifest.classes)}
        return np.array([index[entry.label] for entry in self.entries], dtype=np.int64)

    @cached_property
    def groups(self) -> list[str]:
        """The group of each photo: of those that show the same picture, or its content alone."""
        return [self.duplicates.groups.get(entry.content, entry.content) for entry in self.entries]

    def names(self, positions: Sequence[int]) -> tuple[str, ...]:
        """Return the names of the photos at ``positions``."""
        return tuple(self.entries[i].name for i in positions)
