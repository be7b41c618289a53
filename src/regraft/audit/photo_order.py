"""Orders of photos in which neighbors were probably taken together: by capture time, or by the numbers in their names.

An order is cut into blocks of consecutive photos of a class, which a cross-validation or a split keeps together.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.data.manifest import Entry
from regraft.models.feature_novelty import unit_vectors

TIME_RULE, NUMBER_RULE, LOOK_RULE = "time", "number", "look"
"""Rules of `regraft.audit.grouping.user_groups` for photos in series."""

BLOCKS = 10
"""Blocks of each class."""

MIN_SHARE = 0.9
"""Minimum share of photos with a capture time, or with a number in the name, for an order."""

_WINDOW = 0.4
"""Share of a block by which a cut may move to where the photos change most."""


@dataclass(frozen=True)
class PhotoOrder:
    """An order of photos.

    Attributes:
        rule: the rule of ``--group-by`` for blocks in this order.
        positions: positions of all photos, shape (n,), int64.
    """

    rule: str
    positions: NDArray[np.int64]


def photo_orders(entries: Sequence[Entry], times: Sequence[float]) -> list[PhotoOrder]:
    """Return the orders by time and by number, those that the photos have.

    Args:
        entries: the photos.
        times: their capture times in seconds, NaN where unknown.
    """
    return [order for order in (time_order(entries, times), number_order(entries)) if order is not None]


def time_order(entries: Sequence[Entry], times: Sequence[float]) -> PhotoOrder | None:
    """Return the photos by capture time, those without one last; None if too few files contain one, or all the same."""
    finite = [time for time in times if math.isfinite(time)]
    if len(finite) < MIN_SHARE * len(entries) or len(set(finite)) < 2:
        return None
    keys = [(time if math.isfinite(time) else math.inf, entry.name) for time, entry in zip(times, entries, strict=True)]
    return PhotoOrder(TIME_RULE, _sorted_positions(keys))


def number_order(entries: Sequence[Entry]) -> PhotoOrder | None:
    """Return the photos by folder and name, in which numbers count as numbers; None if too few names have one."""
    numbered = sum(any(c.isdigit() for c in entry.name.rpartition("/")[2].rpartition(".")[0]) for entry in entries)
    if numbered < MIN_SHARE * len(entries):
        return None
    return PhotoOrder(NUMBER_RULE, _sorted_positions([natural_key(entry.name) for entry in entries]))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts ``img9`` before ``img10``."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]


def blocks_of(order: PhotoOrder, labels: Sequence[str], features: NDArray[np.float32]) -> list[str]:
    """Return the name of the block of each photo: up to `BLOCKS` parts of each class in this order.

    Cuts are where consecutive photos differ most, near the ends of equal parts.

    Args:
        order: the order.
        labels: class of each photo.
        features: shape (n, d).
    """
    rows_of_class: dict[str, list[int]] = defaultdict(list)
    for position in order.positions.tolist():
        rows_of_class[labels[position]].append(position)
    names = [""] * len(labels)
    for label, rows in rows_of_class.items():
        for number, position in zip(_blocks_of_class(features, rows), rows, strict=True):
            names[position] = f"{order.rule} {label} {number}"
    return names


def _blocks_of_class(features: NDArray[np.float32], rows: Sequence[int]) -> list[int]:
    """Return the number of the block of each of ``rows``."""
    n, blocks = len(rows), min(BLOCKS, max(1, len(rows) // 2))
    window = int(_WINDOW * n / blocks)
    change = _changes(unit_vectors(features[np.asarray(rows)]))
    cuts = [round(n * k / blocks) for k in range(1, blocks)]
    moved = [cut - window + int(np.argmax(change[cut - window : cut + window + 1])) for cut in cuts]
    return [int(np.searchsorted(moved, i, side="right")) for i in range(n)]


def _changes(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much the photos before and after each position differ, shape (n,)."""
    change = np.full(len(unit), -np.inf)
    for i in range(1, len(unit)):
        change[i] = -unit[max(0, i - 2) : i].mean(axis=0) @ unit[i : i + 2].mean(axis=0)
    return change


def _sorted_positions(keys: Sequence[object]) -> NDArray[np.int64]:
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)  # type: ignore[arg-type]
