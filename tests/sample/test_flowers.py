"""Drawn flowers: the same pictures on every machine, shots of a plant that resemble it, and names without classes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from regraft.sample import exercise_photos
from regraft.sample.flowers import CLASSES, SIDE, Flower, draw_flowers, unnamed_flowers


def test_a_folder_per_class(tmp_path):
    assert draw_flowers(tmp_path, plants=1, shots=2) == 10
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg"))
    assert names == sorted(f"{label}/plant000-{shot}.jpg" for label in CLASSES for shot in (0, 1))
    assert Image.open(tmp_path / names[0]).size == (SIDE, SIDE)


def test_existing_pictures_stay(tmp_path):
    (tmp_path / "rose").mkdir()
    (tmp_path / "rose/plant000-0.jpg").write_bytes(b"mine")
    draw_flowers(tmp_path, plants=1)
    assert (tmp_path / "rose/plant000-0.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize("label", CLASSES)
def test_a_shot_resembles_its_plant_and_no_other(label):
    pixels = [np.asarray(Flower(label, *rest, 0).draw(), dtype=float) for rest in ((0, 0), (0, 0), (0, 1), (1, 0))]
    first, same, shot, other = pixels
    assert (first == same).all()
    assert 0 < np.abs(first - shot).mean() < np.abs(first - other).mean()


def test_another_garden_has_other_plants():
    assert Flower("rose", 0, 0, 1).draw() != Flower("rose", 0, 0, 2).draw()


def test_unnamed_flowers_are_of_all_classes_in_no_order():
    flowers = unnamed_flowers(20, garden=3)
    assert list(flowers)[:2] == ["new-00.jpg", "new-01.jpg"]
    labels = [flower.label for flower in flowers.values()]
    assert sorted(labels) == sorted(CLASSES * 4)
    assert labels != sorted(labels)


def test_the_photos_of_the_exercise(tmp_path, monkeypatch):
    monkeypatch.setattr(exercise_photos, "NEW_PHOTOS", 5)
    folder = exercise_photos.draw_exercise(tmp_path, plants=1)
    assert folder == tmp_path / "flowers"
    assert {path.name for path in (tmp_path / "new flowers").iterdir()} == set(exercise_photos.new_labels())
