"""Paths of photos that are stored without a `Path` for each."""

from __future__ import annotations

import pickle
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


def test_photos_of_a_folder_share_the_text_before_their_names() -> None:
    slot = vars(Entry)["path"]._slot
    first, second = (
        slot.__get__(Entry(name, Path("/photos/many") / name, "", "ash")) for name in ("ash/1.jpg", "ash/2.jpg")
    )
    assert first is second and first == "/photos/many/"
