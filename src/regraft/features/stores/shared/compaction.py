"""Compaction of a shared store: many small files become few large ones, each entry once, damaged entries left out.

The order of the steps makes it safe next to writers, readers and other compactions, and when it is killed: a file is
removed only after a file with its entries was written. What a killed compaction leaves behind is an entry in two files,
which the next one removes. Of the copies of an entry the one in the first file is kept, large files before small ones;
every compaction uses this order, so two of them never drop each other's copy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from regraft.features.stores.shared.arrow_file import KEY_BYTES, DamagedFileError, Row, encoded, name_of
from regraft.features.stores.shared.key_index import KeyIndex
from regraft.features.stores.shared.places import Place
from regraft.features.stores.shared.reading import keys_of_file, sound_entries, sound_rows
from regraft.features.stores.sqlite_file import EntryKind

TARGET_BYTES = 64 << 20
"""Approximate size of a compacted file; it is in memory twice while it is written."""

LARGE_BYTES = TARGET_BYTES // 2
"""Size from which a file is left as it is."""


@dataclass(frozen=True)
class Compacted:
    """The result of a compaction.

    Attributes:
        files_before: number of files before it.
        files_after: number of files after it.
        entries: entries in the files that were written.
        duplicates: copies of entries that were removed.
        damaged: entries that were removed because a bit had changed; entries of a file that cannot be read at all are
            not counted.
        bytes_freed: size before it minus size after it.
    """

    files_before: int
    files_after: int
    entries: int
    duplicates: int
    damaged: int
    bytes_freed: int


@dataclass(frozen=True)
class Verified:
    """The content of a store.

    Attributes:
        sound: number of intact entries; copies count.
        damaged: number of damaged entries.
        damaged_files: names of files with a damaged part.
        kinds: intact entries by kind.
    """

    sound: int
    damaged: int
    damaged_files: tuple[str, ...]
    kinds: tuple[EntryKind, ...]


def compact(place: Place, *, rewritten: Sequence[str] = ()) -> Compacted:
    """Merge the small files of a store, and return what was done.

    Args:
        place: the place of the store.
        rewritten: large files to write again without their damaged entries.

    Raises:
        OSError: the place cannot be read or written. Nothing is lost then.
    """
    place.sweep()
    before = place.sizes()
    small = sorted(name for name, size in before.items() if size < LARGE_BYTES or name in rewritten)
    kept = _KeptEntries(place)
    for name in sorted(set(before) - set(small)):
        kept.add_file(name)
    entries = duplicates = damaged = 0
    for group in _groups(small, before):
        read = [sound_rows(place, name) for name in group]
        rows = [row for some, _ in read for row in some]
        new = kept.new_among(rows)
        _replace(place, group, new, kept)
        damaged += sum(lost for _, lost in read)
        duplicates += len(rows) - len(new)
        entries += len(new)
    after = place.sizes()
    freed = sum(before.values()) - sum(after.values())
    return Compacted(len(before), len(after), entries, duplicates, damaged, freed)


def verify(place: Place) -> Verified:
    """Return the result of reading every entry of a store; nothing is changed.

    Raises:
        OSError: the place cannot be read.
    """
    sound = damaged = 0
    bad: list[str] = []
    kinds: dict[str, tuple[int, int]] = {}
    for name in sorted(place.sizes()):
        rows, lost = sound_rows(place, name)
        for row in rows:
            count, size = kinds.get(row.kind, (0, 0))
            kinds[row.kind] = (count + 1, size + len(row.entry))
        sound, damaged = sound + len(rows), damaged + lost
        bad += [name] if lost else []
    by_size = sorted(kinds.items(), key=lambda one: -one[1][1])
    return Verified(sound, damaged, tuple(bad), tuple(EntryKind(kind, n, size, 0) for kind, (n, size) in by_size))


class _KeptEntries:
    """The entries in files that stay: large ones, and those that this compaction has written."""

    def __init__(self, place: Place) -> None:
        self._place, self._index = place, KeyIndex()
        self._written: set[str] = set()

    def add_file(self, name: str) -> None:
        """Add a large file; one that cannot be read has no entries."""
        with contextlib.suppress(DamagedFileError, FileNotFoundError):
            self._index.add(name, keys_of_file(self._place, name))

    def add_written(self, name: str, rows: Sequence[Row]) -> None:
        """Add a file that was just written, with its rows."""
        self._written.add(name)
        self._index.add(name, [np.frombuffer(b"".join(row.key for row in rows), np.uint8).reshape(-1, KEY_BYTES)])

    def new_among(self, rows: Sequence[Row]) -> list[Row]:
        """Return one row for each key that no kept file has intact, sorted by key."""
        by_key = {row.key: row for row in sorted(rows, reverse=True)}
        keys = sorted(by_key)
        stored: set[bytes] = set()
        for key, places in zip(keys, self._index.places(keys), strict=True):
            if any(self._is_intact(key, *place) for place in places):
                stored.add(key)
        return [by_key[key] for key in keys if key not in stored]

    def _is_intact(self, key: bytes, name: str, batch: int, row: int) -> bool:
        if name in self._written:
            return True
        return any(True for _ in sound_entries(self._place, name, {batch: {key: row}}))


def _groups(names: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield the names in groups of about `TARGET_BYTES`."""
    group: list[str] = []
    total = 0
    for name in names:
        if group and total + sizes[name] > TARGET_BYTES:
            yield group
            group, total = [], 0
        group.append(name)
        total += sizes[name]
    if group:
        yield group


def _replace(place: Place, group: Sequence[str], rows: Sequence[Row], kept: _KeptEntries) -> None:
    """Write ``rows`` as one file, and then remove the files of ``group``."""
    name = None
    if rows:
        data = encoded(rows)
        name = name_of(data)
        if name not in group or len(group) > 1:
            place.write(name, data)
        kept.add_written(name, rows)
    for old in group:
        if old != name:
            place.remove(old)
