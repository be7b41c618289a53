"""Photos of a class that look as if they were taken together: sets that are far closer than other photos of the class.

Two photos are linked if each is among the five nearest neighbors of the other, and their distance is below a share of
the median distance in their class. Sets of linked photos are groups. With three neighbors and a smaller distance, at
most one photo in sixteen is in a set of three in folders without series; in folders of several views of each subject,
it is one in seven or more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regraft.audit.photo_order import LOOK_RULE
from regraft.data.split_units import DisjointSets
from regraft.models.feature_novelty import unit_vectors

CLOSE, LINKED = (3, 0.5), (5, 0.65)
"""Neighbors, and maximum distance as a share of the median distance in the class: in close sets, and in groups."""

MIN_CLOSE_SHARE = 0.12
"""Minimum share of photos in close sets of three or more for a folder that has series by look."""

MAX_GROUP_SHARE = 0.5
"""Maximum share of a class in one group; larger groups are chains of neighbors, and the class could not be divided."""

MAX_OF_CLASS = 2000
"""Maximum photos of a class whose distances are compared at once; of more, each part is compared by itself."""


def look_groups(features: NDArray[np.float32], labels: Sequence[str], *, rule: tuple[int, float] = LINKED) -> list[str]:
    """Return the name of the group of each photo; a photo without linked photos is a group of its own.

    Args:
        features: shape (n, d).
        labels: class of each photo.
        rule: neighbors, and maximum distance as a share of the median distance in the class.
    """
    sets = DisjointSets[int]()
    for position in range(len(labels)):
        sets.add(position)
    names = np.asarray(labels)
    for label in dict.fromkeys(labels):
        rows = np.flatnonzero(names == label)
        for start in range(0, len(rows), MAX_OF_CLASS):
            part = rows[start : start + MAX_OF_CLASS]
            for one, other in _links(unit_vectors(features[part]), *rule):
                sets.join(int(part[one]), int(part[other]))
    return [f"{LOOK_RULE} {sets.root(position)}" for position in range(len(labels))]


def close_share(features: NDArray[np.float32], labels: Sequence[str]) -> float:
    """Return the share of photos that are in a close set of three or more."""
    groups = look_groups(features, labels, rule=CLOSE)
    sizes = Counter(groups)
    return sum(sizes[group] >= 3 for group in groups) / max(1, len(groups))


def largest_share(groups: Sequence[str], labels: Sequence[str]) -> float:
    """Return the largest share of a class that is in one group."""
    of_class = Counter(labels)
    return max(count / of_class[label] for (_, label), count in Counter(zip(groups, labels, strict=True)).items())


def _links(unit: NDArray[np.float64], neighbors: int, share: float) -> list[tuple[int, int]]:
    """Return the pairs of linked photos."""
    n = len(unit)
    if n <= neighbors:
        return []
    distance = np.sqrt(np.maximum(2 - 2 * unit @ unit.T, 0))
    median = float(np.median(distance[np.triu_indices(n, 1)]))
    np.fill_diagonal(distance, np.inf)
    nearest = np.argpartition(distance, neighbors - 1, axis=1)[:, :neighbors]
    near = np.zeros((n, n), dtype=bool)
    near[np.arange(n)[:, None], nearest] = True
    linked = near & near.T & (distance < share * median)
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(linked)), strict=True)]
