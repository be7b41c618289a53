"""Several folders and archives as one set of photos."""

from __future__ import annotations

import pytest

from data.labeled import folder_of, labels_of, photo, zip_of
from regraft.data.manifest import scan
from regraft.data.selection import PhotoSelection, place_of
from regraft.data.source import select_photos
from regraft.errors import PhotosError


def merged(*folders, **options):
    return select_photos(PhotoSelection(folders[0], folders[1:], **options))


def test_classes_of_the_same_name_join(tmp_path):
    a = folder_of(tmp_path / "a", ["ant/1.jpg", "bee/1.jpg"])
    b = folder_of(tmp_path / "b", ["bee/1.jpg", "wasp/1.jpg"])
    source = merged(a, b)
    assert labels_of(source) == {
        "a/ant/1.jpg": "ant",
        "a/bee/1.jpg": "bee",
        "b/bee/1.jpg": "bee",
        "b/wasp/1.jpg": "wasp",
    }
    assert source.classes == ("ant", "bee", "wasp")
    assert source.notes == (
        "merged: a 2 photos, b 2 photos; classes of all: bee",
        "not in every folder: ant of a",
        "not in every folder: wasp of b",
    )
    assert all(place_of(p.name, (a, b)) == p.path for p in source.photos)
    assert [e.status for e in scan(source, workers=1).entries] == ["ok"] * 4


def test_folders_of_the_same_name_are_told_apart_by_those_above(tmp_path):
    x = folder_of(tmp_path / "x" / "photos", ["ant/1.jpg"])
    y = zip_of(folder_of(tmp_path / "y", ()) / "photos", {"bee/1.jpg": photo(1)})
    assert labels_of(merged(x, y)) == {"x/photos/ant/1.jpg": "ant", "y/photos/bee/1.jpg": "bee"}


def test_a_folder_without_sides_is_for_training_next_to_one_with_sides(tmp_path):
    a = folder_of(tmp_path / "a", [f"{side}/{label}/1.jpg" for side in ("train", "val") for label in ("ant", "bee")])
    source = merged(a, folder_of(tmp_path / "b", ["ant/7.jpg", "bee/7.jpg"]))
    assert {p.name: p.split for p in source.photos if p.name.startswith("b/")} == {
        "b/ant/7.jpg": "train",
        "b/bee/7.jpg": "train",
    }
    assert "b has no sides, unlike a: its photos are for training" in source.notes


def test_classes_that_differ_in_case_are_named(tmp_path):
    source = merged(folder_of(tmp_path / "a", ["Ant/1.jpg"]), folder_of(tmp_path / "b", ["ant/1.jpg"]))
    assert "classes 'Ant' and 'ant' differ only in case or spaces: treated as different classes" in source.notes


def test_conflicts_of_folders_are_named(tmp_path):
    a = folder_of(tmp_path / "a", ["ant/1.jpg", "bee/1.jpg"])
    with pytest.raises(PhotosError, match="is named twice; expected different folders"):
        merged(a, tmp_path / "b" / ".." / "a")
    with pytest.raises(PhotosError, match=r"ant is in .*a, whose photos would count twice"):
        merged(a, a / "ant")
    with pytest.raises(
        PhotosError, match=r"have photos but no class folders\n  if each is a class:   regraft train .*/a\n"
    ):
        merged(a / "ant", a / "bee")
    with pytest.raises(PhotosError, match=r"no such folder: .*gone"):
        merged(a, tmp_path / "gone")


def test_one_table_labels_photos_of_several_folders(tmp_path):
    a, b = folder_of(tmp_path / "a", ["1.jpg", "2.jpg"]), folder_of(tmp_path / "b", ["3.jpg", "2.jpg"])
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n1.jpg,x\n3,y\nb/2.jpg,y\n")
    assert labels_of(merged(a, b, labels=table)) == {"a/1.jpg": "x", "b/3.jpg": "y", "b/2.jpg": "y"}
    table.write_text("path,label\n1.jpg,x\n2.jpg,y\n")
    with pytest.raises(PhotosError, match=r"line 3: 2\.jpg could be .*a/2\.jpg or .*b/2\.jpg"):
        merged(a, b, labels=table)
