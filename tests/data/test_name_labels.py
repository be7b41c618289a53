"""Labels from the names of photos, and the command where a flat folder plainly has such names."""

from __future__ import annotations

import pytest

from data.labeled import folder_of, labels_of
from regraft.data.folders.name_patterns import compiled_pattern, label_in_name
from regraft.data.selection import PhotoSelection
from regraft.data.source import find_photos, select_photos
from regraft.errors import ConfigError, PhotosError

PETS = [f"{animal}.{i}.jpg" for animal in ("cat", "dog") for i in range(3)]


def read(root, pattern="prefix"):
    return select_photos(PhotoSelection(root, label_from=pattern))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("cat.0.jpg", "cat"),
        ("Abyssinian_12.jpg", "Abyssinian"),
        ("american_pit_bull_terrier_123.jpg", "american_pit_bull_terrier"),
        ("daisy (3).JPG", "daisy"),
        ("dog12.jpeg", "dog"),
        ("boeing_737_012.jpg", "boeing_737"),
        ("n02085620_10026.JPEG", "n02085620"),
        ("Löwenzahn-07", "Löwenzahn"),
        ("猫_1.png", "猫"),
        ("12.jpg", ""),
        ("2021_03.jpg", ""),
        ("cat.jpg", ""),
        ("train/cat.7.jpg", "cat"),
    ],
)
def test_the_prefix_of_a_name(name, label):
    assert label_in_name(name, compiled_pattern("prefix")) == label


@pytest.mark.parametrize(
    ("pattern", "name", "label"),
    [
        (r"^(?P<label>[a-z]+)\.", "a/cat.0.jpg", "cat"),
        (r"/([^/]+)_\d+.jpg$", "beagle_32.jpg", "beagle"),  # as for fastai, where names have a folder
        (r"^images/(?P<label>\w+)/", "images/beagle/7.jpg", "beagle"),
        (r"_(?P<label>ill|well)_", "p1_ill_4.jpg", "ill"),
    ],
)
def test_a_pattern_is_compared_with_the_name_or_with_the_path(pattern, name, label):
    assert label_in_name(name, compiled_pattern(pattern)) == label


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"label_from: '\(' is not a regular expression"),
        ("cat", "no group for the label"),
        (r"(a)(b)", "no group"),
    ],
)
def test_invalid_patterns_are_refused_with_an_example(pattern, message):
    with pytest.raises(ConfigError, match=rf"{message}.*\(\?P<label>"):
        compiled_pattern(pattern)


def test_the_classes_of_a_flat_folder(tmp_path):
    source = read(folder_of(tmp_path, [*PETS, "notes.3.1", "index.jpg"]))
    assert {name: label for name, label in labels_of(source).items() if label in ("cat", "dog")} == {
        name: name[:3] for name in PETS
    }
    assert "1 photo has no label in the name, such as index.jpg: not used" in source.notes
    assert ("index.jpg", "its name has no label") in source.skipped


def test_folders_of_sides_keep_their_split_and_unlabeled_ones_are_left_out(tmp_path):
    train = [f"pets/train/{name}" for name in PETS]
    source = read(folder_of(tmp_path / "a", [*train, *(f"pets/val/{name}" for name in PETS)]))
    assert source.given_sides == {"train", "validation"}
    source = read(folder_of(tmp_path / "b", [*(f"train/{name}" for name in PETS), "test1/1.jpg", "test1/2.jpg"]))
    assert (len(source.photos), source.given_sides) == (6, frozenset())
    assert "2 photos have no label in the name, such as test1/1.jpg: not used" in source.notes


def test_a_pattern_that_finds_no_classes_is_refused(tmp_path):
    names = [f"{chr(97 + i)}{chr(97 + j)}_1.jpg" for i in range(5) for j in range(6)]
    with pytest.raises(PhotosError, match=r"finds 30 classes in 30 names, such as aa, ab, ac, ad\n.*several photos"):
        read(folder_of(tmp_path, names))
    with pytest.raises(PhotosError, match=r"no name of a photo has a label by --label-from '\^\(x\+\)'; such as aa_1"):
        read(tmp_path, "^(x+)")
    with pytest.raises(PhotosError, match="one class only: cat"):
        read(folder_of(tmp_path / "cats", ["cat_1.jpg", "cat_2.jpg"]))


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (PETS, "prefix"),
        ([f"train/{name}" for name in PETS], "prefix"),
        ([*(f"train/{name}" for name in PETS), "test1/1.jpg", "test1/2.jpg"], "prefix"),
        ([f"{i}_{animal}.jpg" for animal in ("cat", "dog") for i in range(3)], r"'^\d+[-_. ]+(?P<label>.+)\.'"),
    ],
)
def test_the_command_is_printed_where_names_plainly_have_labels(tmp_path, names, value):
    root = folder_of(tmp_path, names)
    with pytest.raises(PhotosError) as error:
        find_photos(root)
    assert str(error.value).endswith(
        f"\n  the names of the photos look like labels (cat 3, dog 3):\n    regraft train {root} --label-from {value}"
    )
    assert set(labels_of(read(root, value.strip("'"))).values()) == {"cat", "dog"}


@pytest.mark.parametrize("words", [("IMG", "DSC"), ("photo", "scan"), ("cat",)])
def test_no_command_is_printed_where_names_come_from_a_camera(tmp_path, words):
    with pytest.raises(PhotosError, match="no class folders") as error:
        find_photos(folder_of(tmp_path, [f"{word}_{i}.jpg" for word in words for i in range(4)]))
    assert "--label-from" not in str(error.value)


def test_the_command_is_printed_where_a_table_is_next_to_the_photos(tmp_path):
    (folder_of(tmp_path, ["1.jpg", "2.jpg"]) / "labels.csv").write_text("file,label\n1.jpg,a\n2.jpg,b\n")
    with pytest.raises(PhotosError) as error:
        find_photos(tmp_path)
    assert str(error.value).endswith(f"\n  perhaps    regraft train {tmp_path} --labels {tmp_path}/labels.csv")


def test_labels_have_one_place(tmp_path):
    with pytest.raises(ConfigError, match="labels and label_from are two places of the labels"):
        PhotoSelection(tmp_path, labels="labels.csv", label_from="prefix").check()
    with pytest.raises(ConfigError, match="path_column and skip_missing applies only with labels"):
        PhotoSelection(tmp_path, path_column="x", skip_missing=True).check()
