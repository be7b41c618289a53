"""Keys and entries read from the files of a shared store, damaged parts left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from regraft.features.stores.shared.arrow_file import DamagedFileError, EntryFile, Row, sound_numbers
from regraft.features.stores.shared.places import Place
from regraft.features.stores.store import FeatureArray


def keys_of_file(place: Place, name: str) -> list[NDArray[np.uint8]]:
    """Return the keys in each record batch of a file, shape (n, 32), uint8.

    Raises:
        DamagedFileError: the file is damaged where its keys are.
        OSError: it is missing or cannot be read.
    """
    with place.open(name, keys_only=True) as source:
        file = EntryFile(source, keys_only=True)
        return [file.keys(batch) for batch in range(file.batches)]


def sound_entries(
    place: Place, name: str, batches: Mapping[int, Mapping[bytes, int]]
) -> Iterator[tuple[bytes, FeatureArray]]:
    """Yield (key, features) of the intact ones among some entries of a file.

    Args:
        place: the place of the file.
        name: its name.
        batches: record batch to key to row.

    Raises:
        OSError: the file is missing or cannot be read.
    """
    with place.open(name) as source:
        try:
            file = EntryFile(source)
        except DamagedFileError:
            return
        for batch, rows in sorted(batches.items()):
            try:
                for row in file.rows(batch, sorted(rows.values())):
                    numbers = sound_numbers(row) if row.key in rows else None
                    if numbers is not None:
                        yield row.key, numbers
            except DamagedFileError:
                continue


def sound_rows(place: Place, name: str) -> tuple[list[Row], int]:
    """Return the intact rows of a file, and the number of damaged parts: rows, or record batches that cannot be read.

    Raises:
        OSError: the file is missing or cannot be read.
    """
    rows: list[Row] = []
    damaged = 0
    with place.open(name) as source:
        try:
            file = EntryFile(source)
        except DamagedFileError:
            return [], 1
        for batch in range(file.batches):
            try:
                for row in file.rows(batch):
                    if sound_numbers(row) is None:
                        damaged += 1
                    else:
                        rows.append(row)
            except DamagedFileError:
                damaged += 1
    return rows, damaged


def by_file(places: Mapping[bytes, tuple[str, int, int]]) -> dict[str, dict[int, dict[bytes, int]]]:
    """Return the places of keys, each (file, record batch, row), grouped as {file: {record batch: {key: row}}}."""
    grouped: dict[str, dict[int, dict[bytes, int]]] = {}
    for key, (name, batch, row) in places.items():
        grouped.setdefault(name, {}).setdefault(batch, {})[key] = row
    return grouped
