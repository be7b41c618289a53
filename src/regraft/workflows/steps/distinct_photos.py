"""Checks that photos differ: nothing can be learned from photos that all look the same to the network."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from regraft.audit.photo_stats_store import PhotoStatsTable
from regraft.context.dataset import Dataset
from regraft.errors import PhotosError
from regraft.text import command

_ROWS = 1024
_SAME = 1e-6
"""Largest difference of equal features, as a share of the largest feature."""


def check_distinct(dataset: Dataset, features: NDArray[np.float32], stats: PhotoStatsTable) -> None:
    """Check that the photos do not all have the same features.

    Args:
        dataset: the photos.
        features: their features, shape (n, D), float32.
        stats: their stats.

    Raises:
        PhotosError: all features are the same.
    """
    if len(features) < 2 or not _all_same(features):
        return
    root = dataset.manifest.root
    raise PhotosError(
        f"{root}: all {len(features):,} photos look the same to the network{_content(stats)}: "
        "nothing can be learned from them\n"
        f"  look at them with: regraft check {command(root)}\n"
        "  photos that are white or black everywhere have often lost their content when they were converted or exported"
    )


def one_picture_notes(dataset: Dataset) -> tuple[str, ...]:
    """Return a warning for each class whose photos, two or more, are all the same picture."""
    usable = dataset.usable
    units: dict[str, set[str]] = defaultdict(set)
    count: dict[str, int] = defaultdict(int)
    for entry in usable:
        units[entry.label].add(dataset.duplicate_group.get(entry.content, entry.content))
        count[entry.label] += 1
    return tuple(
        f"all {count[label]:,} photos of class {label} are the same picture, so the accuracy for this class "
        "does not apply to other pictures of it"
        for label in dataset.classes
        if count[label] > 1 and len(units[label]) == 1
    )


def _all_same(features: NDArray[np.float32]) -> bool:
    """Return whether all rows are equal up to rounding; a different row ends the search."""
    first = features[:1]
    allowed = _SAME * float(np.abs(first).max())
    return all(
        float(np.abs(features[start : start + _ROWS] - first).max()) <= allowed
        for start in range(0, len(features), _ROWS)
    )


def _content(stats: PhotoStatsTable) -> str:
    """Return what all photos show in parentheses, or an empty string."""
    low, high = 255, 0
    for start in range(0, len(stats), _ROWS):
        gray = stats.gray(np.arange(start, min(start + _ROWS, len(stats))))
        low, high = min(low, int(gray.min())), max(high, int(gray.max()))
    if low >= 250:
        return " (white everywhere)"
    if high <= 5:
        return " (black everywhere)"
    return " (one color everywhere)" if high - low <= 5 else ""
