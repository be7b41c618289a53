"""Paths of photos that are stored without a `Path` for each."""

from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from regraft.data.manifest import Entry


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ash/1.jpg", "/photos/ash/1.jpg"),
        ("1.jpg", "/photos/ash/1.jpg"),
        ("ash/1.jpg", "ash/1.jpg"),
        ("ash/1.jpg", "/elsewhere/2.jpg"),
        ("1.jpg", "/photos/11.jpg"),
        ("", "/photos/1.jpg"),
        ("ash\udcff.jpg", "/photos/ash\udcff.jpg"),
    ],
)
def test_a_path_is_what_was_given(name: str, path: str) -> None:
    entry = Entry(name, Path(path), "00", "ash")
    for one in (entry, replace(entry, side="train"), pickle.loads(pickle.dumps(entry))):
        assert one.path == Path(path) and one.name == name
    assert entry == Entry(name, Path(path), "00", "ash") != Entry(name, Path("/other"), "00", "ash")
    entry.path = Path("/moved") / "here.jpg"
    assert entry.path == Path("/moved/here.jpg")


def test_a_photo_takes_less_memory_than_a_path() -> None:
    names = [f"class_{i % 10}/photo_{i:05}.jpg" for i in range(1000)]
    tracemalloc.start()
    try:
        entries = [Entry(name, Path("/photos/many") / name, "", "class") for name in names]
        used = tracemalloc.get_traced_memory()[0] / len(entries)
    finally:
        tracemalloc.stop()
    assert used < 200
