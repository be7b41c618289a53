"""How many photos are held back to choose by, and that few of them change sides as photos come."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from regraft.context.config import TrainConfig
from regraft.context.parts import split_off_validation
from regraft.data.manifest import Entry


def entries(number: int) -> list[Entry]:
    def one(i: int) -> Entry:
        content = hashlib.sha256(str(i).encode()).hexdigest()
        return Entry(f"{i}.jpg", Path(f"{i}.jpg"), content, "ab"[i % 2], side="train")

    return [one(i) for i in range(number)]


@pytest.mark.parametrize(
    ("number", "share"), [(50, 0.2), (999, 0.2), (1000, 0.1), (1999, 0.1), (2000, 0.05), (9999, 0.05), (10000, 0.02)]
)
def test_a_smaller_share_of_more_photos_is_held_back(number: int, share: float, tmp_path: Path) -> None:
    photos = entries(number)
    inner, chosen = split_off_validation(photos, TrainConfig(photos=tmp_path), {})
    assert sorted(e.name for e in (*inner, *chosen)) == sorted(e.name for e in photos)
    assert len(chosen) == pytest.approx(share * number, rel=0.25)
    assert {e.label for e in chosen} == {"a", "b"}


def test_photos_that_are_added_leave_the_others_where_they_are(tmp_path: Path) -> None:
    config = TrainConfig(photos=tmp_path)
    before = {e.name for e in split_off_validation(entries(2500), config, {})[1]}
    after = {e.name for e in split_off_validation(entries(2600), config, {})[1]}
    moved = before - after | {name for name in after - before if int(name.removesuffix(".jpg")) < 2500}
    assert len(moved) <= 2
