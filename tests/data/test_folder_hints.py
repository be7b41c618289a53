"""Notes and errors name the folder, or the table, that may have the classes instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.labeled import JPEG
from regraft.data.source import find_photos
from regraft.errors import PhotosError


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(JPEG)
    return root


def with_classes(root: Path, *folders: str) -> Path:
    return make(root, *(f"{folder}/{name}/{k}.jpg" for folder in folders for name in ("ash", "elm") for k in "12"))


def test_classes_deep_in_a_folder_that_became_a_class_are_named(tmp_path: Path) -> None:
    with_classes(tmp_path, "rose-dataset/raw/photos")
    source = find_photos(make(tmp_path, "docs/1.jpg"))
    assert source.classes == ("docs", "rose-dataset")
    hint = "if the folders in rose-dataset/raw/photos/ are, name that folder as PHOTOS"
    assert source.notes == (f"the classes are docs, rose-dataset; {hint}",)
    with_classes(tmp_path / "session", "a/morning", "b/evening")
    assert find_photos(tmp_path / "session", folders="classes").notes == ()


@pytest.mark.parametrize("above", ["Takeout/Google Photos", "DCIM"])
def test_an_export_of_photos_is_read_to_its_albums(above: str, tmp_path: Path) -> None:
    assert find_photos(with_classes(tmp_path, above)).classes == ("ash", "elm")


def test_the_only_class_names_the_folders_deep_in_it(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match=r"perhaps .*/upload/2024/may   whose folders are ash, elm"):
        find_photos(with_classes(tmp_path, "upload/2024/may"))


@pytest.mark.parametrize("table", ["train.csv", "labels.tsv", "Tabelle.xlsx"])
def test_the_only_class_names_the_table_next_to_it(table: str, tmp_path: Path) -> None:
    make(tmp_path, "images/1.jpg", "images/2.jpg")
    for name in {table, "a_submission.csv"} if "Tabelle" not in table else {table}:
        (tmp_path / name).write_text("path,label\n1.jpg,a\n2.jpg,b\n")
    with pytest.raises(PhotosError, match=rf"perhaps    regraft train .* --labels .*/{table}"):
        find_photos(tmp_path)


@pytest.mark.parametrize("name", ["unlabeled", "_Unsorted", "New folder", "unclassified images"])
def test_a_class_that_sounds_like_photos_without_a_label_is_named(name: str, tmp_path: Path) -> None:
    make(tmp_path, "ash/1.jpg", "elm/1.jpg")
    notes = find_photos(make(tmp_path, f"{name}/1.jpg")).notes
    expected = f"class {name} sounds like photos without a label; if it is not a class, move it out of the folder"
    assert notes == (expected,)


def test_a_class_with_folders_of_the_other_classes_is_named(tmp_path: Path) -> None:
    source = find_photos(with_classes(make(tmp_path, "ash/1.jpg", "elm/1.jpg"), "thumbnails"))
    assert source.classes == ("ash", "elm", "thumbnails")
    reason = "class thumbnails has folders with the names of other classes (ash, elm)"
    assert source.notes == (f"{reason}; if it is not a class, move it out of the folder",)


def test_a_split_names_the_table_in_its_training_side(tmp_path: Path) -> None:
    make(tmp_path, "train/1.jpg", "valid/2.jpg")
    (tmp_path / "train" / "_classes.csv").write_text("filename, ash, elm\n1.jpg, 1, 0\n")
    with pytest.raises(PhotosError, match=r"perhaps    regraft train .*/train --labels .*/train/_classes.csv"):
        find_photos(tmp_path)
