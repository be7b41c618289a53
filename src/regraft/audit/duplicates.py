"""Duplicates: photos with the same bytes, photos with the same pixels, and near-duplicates."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft.audit import near_duplicates
from regraft.audit.approximate_neighbours import exact_search_warning, is_approximate
from regraft.audit.near_duplicates import (
    CANDIDATES,
    FINE_SIDE,
    NO_NEAR_DUPLICATES,
    NearDuplicates,
    find_near_duplicates,
)
from regraft.audit.neighbours import nearest_neighbours
from regraft.audit.pairs_table import pairs_as_table, pairs_from_table
from regraft.audit.photo_stats import PhotoStats
from regraft.audit.photo_stats_store import GraySubset, PhotoStatsTable
from regraft.data.decode import DECODER, read_photo
from regraft.data.decoding.rendering import PLAIN, Rendering
from regraft.data.loading.photo_task import read_verified
from regraft.data.manifest import Entry
from regraft.data.split_units import DisjointSets
from regraft.data.threads import map_in_order, workers_or_default
from regraft.errors import DecodeError
from regraft.features.stores.store import FeatureStore, feature_key
from regraft.process import release_freed_memory


@dataclass(frozen=True)
class Duplicates:
    """Sets and pairs of photos that show the same picture, as positions in ``entries``.

    Attributes:
        entries: the photos.
        by_bytes: sets of photos whose files have the same bytes, each of two or more positions.
        by_pixels: sets of photos with different files but the same evaluation pixels.
        near: pairs of photos with different pixels that show the same picture.
    """

    entries: Sequence[Entry]
    by_bytes: tuple[tuple[int, ...], ...]
    by_pixels: tuple[tuple[int, ...], ...]
    near: NearDuplicates

    @cached_property
    def sets(self) -> list[list[int]]:
        """All sets of positions that show the same picture, by bytes, by pixels or as near-duplicates; ascending."""
        return connected_sets(len(self.entries), [*self.by_bytes, *self.by_pixels, *self.near.pairs.tolist()])

    @cached_property
    def groups(self) -> dict[str, str]:
        """Content hash to group id, for groups of at least two contents; the id is the group's smallest hash."""
        groups: dict[str, str] = {}
        for members in self.sets:
            contents = sorted({self.entries[i].content for i in members})
            if len(contents) > 1:
                groups.update(dict.fromkeys(contents, contents[0]))
        return groups


def detect_duplicates(
    entries: Sequence[Entry],
    features: NDArray[np.float32],
    photo_stats: Sequence[PhotoStats],
    *,
    store: FeatureStore | None = None,
    workers: int | None = None,
    rendering: Rendering = PLAIN,
    warn: Callable[[str], None] | None = None,
) -> Duplicates:
    """Return the duplicates and near-duplicates among photos.

    Args:
        entries: the photos.
        features: their features, shape (n, d), float32.
        photo_stats: their stats.
        store: cache of the near-duplicates of this set of photos; None for no cache.
        workers: number of threads that compare photos and decode some of them again.
        rendering: the white level of 16-bit gray, and the ground of transparent photos.
        warn: called with a sentence if the search will take long; None to say nothing.
    """
    packed = PhotoStatsTable.from_sequence(photo_stats)
    by_bytes = equal_positions([entry.content for entry in entries])
    first = {entry.content: i for i, entry in reversed(list(enumerate(entries)))}
    contents = sorted(first)
    rows = np.array([first[content] for content in contents], dtype=np.int64)
    pixels = equal_positions([packed[int(i)].pixel_hash for i in rows])
    by_pixels = tuple(tuple(int(rows[i]) for i in members) for members in pixels)
    distinct = np.setdiff1d(np.arange(len(rows)), [i for members in pixels for i in members[1:]])
    representatives = rows[distinct]
    key = _pairs_key([entries[i].content for i in representatives], rendering)
    near = _cached_pairs(store, key, len(representatives))
    if near is None:
        warning = exact_search_warning(len(representatives))
        if warning is not None and warn is not None:
            warn(warning)
        near = _search_near_duplicates(entries, features, packed, representatives, workers, rendering)
        if store is not None:
            store.put(key, pairs_as_table(near, len(representatives)), "near-copies found")
    pairs = np.sort(representatives[near.pairs], axis=1) if len(near.pairs) else near.pairs
    return Duplicates(entries, by_bytes, by_pixels, NearDuplicates(pairs, near.fit))


def _search_near_duplicates(
    entries: Sequence[Entry],
    features: NDArray[np.float32],
    photo_stats: PhotoStatsTable,
    representatives: NDArray[np.int64],
    workers: int | None,
    rendering: Rendering,
) -> NearDuplicates:
    """Return the near-duplicates among the photos at ``representatives``, as indices into it."""
    if len(representatives) < 2:
        return NO_NEAR_DUPLICATES
    workers = workers_or_default(workers)

    def fine(positions: Sequence[int]) -> NDArray[np.uint8]:
        return np.stack(
            list(
                map_in_order(
                    lambda i: _fine_gray(entries[representatives[i]], rendering), positions, workers=workers, ahead=64
                )
            )
        )

    neighbours = nearest_neighbours(features, CANDIDATES, representatives)
    release_freed_memory()
    return find_near_duplicates(neighbours, GraySubset(photo_stats, representatives), fine, workers=workers)


def _fine_gray(entry: Entry, rendering: Rendering) -> NDArray[np.uint8]:
    """Return a photo, upright, in gray and resized to (128, 128), uint8; black if it can no longer be decoded."""
    size = (FINE_SIDE, FINE_SIDE)
    try:
        image = read_photo(read_verified(entry), at_least=size, rendering=rendering)
    except DecodeError:
        return np.zeros(size, dtype=np.uint8)
    return np.asarray(image.convert("L").resize(size, Image.Resampling.BOX, reducing_gap=2.0))


def _pairs_key(contents: Sequence[str], rendering: Rendering) -> str:
    decoder = DECODER + "".join(f" {name}={value}" for name, value in rendering.unusual.items())
    whole = hashlib.sha256("".join(contents).encode()).hexdigest()
    search = f"{near_duplicates.VERSION} approximate" if is_approximate(len(contents)) else near_duplicates.VERSION
    return feature_key(whole, decoder, "near-copies", "", "", search)


def _cached_pairs(store: FeatureStore | None, key: str, count: int) -> NearDuplicates | None:
    table = store.get(key) if store is not None else None
    return None if table is None else pairs_from_table(table, count)


def equal_positions(values: Iterable[Hashable]) -> tuple[tuple[int, ...], ...]:
    """Return the positions of equal values, for values that occur more than once."""
    positions: dict[Hashable, list[int]] = defaultdict(list)
    for i, value in enumerate(values):
        positions[value].append(i)
    return tuple(tuple(members) for members in positions.values() if len(members) > 1)


def connected_sets(n: int, sets: Iterable[Sequence[int]]) -> list[list[int]]:
    """Return the sets of positions below ``n`` that are connected by ``sets``: ascending, two or more in each."""
    connected = DisjointSets[int]()
    for i in range(n):
        connected.add(i)
    for members in sets:
        for other in members[1:]:
            connected.join(members[0], other)
    groups: dict[int, list[int]] = defaultdict(list)
    for i in range(n):
        groups[connected.root(i)].append(i)
    return [members for members in groups.values() if len(members) > 1]
