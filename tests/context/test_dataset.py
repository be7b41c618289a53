"""The photos of a run: that they can be split is checked before anything is computed; their sides are assigned once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from making import make_photos
from regraft.context.config import TrainConfig, resolve
from regraft.context.dataset import assign_sides, expects_validation_photos, load_dataset
from regraft.data.manifest import scan
from regraft.data.source import find_photos
from regraft.errors import PhotosError
from regraft.screen import QuietScreen


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos", {"ash": 4, "birch": 4})


def earlier_run(photos: Path, folder: Path, sides: dict[str, str]) -> Path:
    """Write the manifest of a run in which the photos of each class are on one side."""
    manifest = scan(find_photos(photos), workers=0)
    for entry in manifest.entries:
        entry.side = sides[entry.label]  # type: ignore[assignment]
    folder.mkdir()
    manifest.write(folder / "manifest.csv")
    (folder / "config.json").write_text(json.dumps({"format": 1}))
    return folder


def config(photos: Path, **options: object) -> TrainConfig:
    return resolve(None, photos=photos, workers=0, **options)


def test_loading_assigns_no_side(photos: Path) -> None:
    dataset = load_dataset(config(photos), QuietScreen())
    assert dataset.classes == ("ash", "birch") and {entry.side for entry in dataset.usable} == {None}
    assign_sides(dataset, config(photos))
    assert {entry.side for entry in dataset.usable} == {"train", "validation", "test"}


def test_a_class_whose_photos_are_all_fixed_to_another_side_is_refused_at_once(photos: Path, tmp_path: Path) -> None:
    run = earlier_run(photos, tmp_path / "run", {"ash": "train", "birch": "test"})
    with pytest.raises(PhotosError, match="class 'birch' has photos in test, none in train"):
        load_dataset(config(photos, split_from=run), QuietScreen())
    make_photos(tmp_path / "more", {"birch": 5})
    (tmp_path / "more" / "birch" / "photo 004.png").rename(photos / "birch" / "new.png")
    dataset = load_dataset(config(photos, split_from=run), QuietScreen())  # the new photo may be for training
    assign_sides(dataset, config(photos, split_from=run))
    assert {entry.label for entry in dataset.on("train")} == {"ash", "birch"}


def test_sides_of_an_earlier_run_may_bring_validation_photos(photos: Path, tmp_path: Path) -> None:
    split = {"split": "80/0/20"}
    assert not expects_validation_photos(load_dataset(config(photos, **split), QuietScreen()), config(photos, **split))
    run = earlier_run(photos, tmp_path / "run", {"ash": "train", "birch": "validation"})
    options = {**split, "split_from": run}
    make_photos(tmp_path / "more", {"birch": 5})
    (tmp_path / "more" / "birch" / "photo 004.png").rename(photos / "birch" / "new.png")
    assert expects_validation_photos(load_dataset(config(photos, **options), QuietScreen()), config(photos, **options))
