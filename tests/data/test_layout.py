"""Folders are read as classes, as sides of a split or as parts, as the names and the shape of much used data say."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.odd_files import encoded, picture
from regraft.data.image_folder import ImageFolder
from regraft.data.source import Source, find_photos
from regraft.errors import ConfigError, PhotosError

JPEG = encoded(picture(), "JPEG")


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(JPEG)
    return root


def with_classes(root: Path, *folders: str, classes: str = "glioma notumor") -> Path:
    return make(root, *(f"{folder}/{name}/{k}.jpg" for folder in folders for name in classes.split() for k in range(2)))


def sides(source: Source) -> dict[str, str | None]:
    """Return the side of each of the folders in the root."""
    return {photo.name.split("/")[0]: photo.split for photo in source.photos}


@pytest.mark.parametrize(
    ("train", "other", "side"),
    [
        ("Training", "Testing", "test"),
        ("training", "validation", "validation"),
        ("train", "testing", "test"),
        ("seg_train", "seg_test", "test"),
        ("train_set", "test_set", "test"),
        ("train", "dev", "validation"),
        ("train", "eval", "test"),
        ("trainset", "valset", "validation"),
        ("TrainData", "HoldOut", "test"),
        ("train", "held-out", "test"),
        ("imagenet_train", "imagenet_val", "validation"),
        ("01_train", "02_test", "test"),
        ("train images", "test images", "test"),
        ("Training", "unseen_data_2021", "test"),
        ("entrenamiento", "prueba", "test"),
        ("Trainingsdaten", "Validierung", "validation"),
        ("训练集", "测试集", "test"),
        ("обучение", "тест", "test"),
        ("images", "test", "test"),
        ("Training", "Prüfung", "test"),
        ("تدريب", "اختبار", "test"),
    ],
)
def test_sides_by_their_names(train: str, other: str, side: str, tmp_path: Path) -> None:
    source = find_photos(with_classes(tmp_path, train, other))
    assert source.classes == ("glioma", "notumor")
    assert sides(source) == {train: "train", other: side}
    assert source.layout == "split"
    assert len(source.photos) == 8
    assert f"{train}/ as train" in source.notes[0] and "--folders classes" in source.notes[0]


def test_all_of_three_sides_and_numbered_ones(tmp_path: Path) -> None:
    root = with_classes(tmp_path, "Train 1", "Train 2", "eval", "Test")
    assert sides(find_photos(root)) == {"Train 1": "train", "Train 2": "train", "eval": "validation", "Test": "test"}


def test_a_class_may_be_missing_on_a_side(tmp_path: Path) -> None:
    with_classes(tmp_path, "my Training", classes="a b c")
    with_classes(tmp_path, "Testing of others", classes="A b")
    assert sides(find_photos(tmp_path)) == {"my Training": "train", "Testing of others": "test"}


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("train/1.jpg", "test track/1.jpg"), ("test track", "train")),
        (("training/1.jpg", "testing/1.jpg", "meeting/1.jpg"), ("meeting", "testing", "training")),
        (("bullet train/old/1.jpg", "bullet train/new/1.jpg", "test bench/a/1.jpg", "test bench/b/1.jpg"),
         ("bullet train", "test bench")),
        (("valid/1.jpg", "invalid/1.jpg"), ("invalid", "valid")),
        (("train/day/1.jpg", "train/night/1.jpg", "bus/dawn/1.jpg", "bus/dusk/1.jpg"), ("bus", "train")),
        (("learning/x/1.jpg", "testing/y/1.jpg", "meeting/z/1.jpg"), ("learning", "meeting", "testing")),
        (("0/writer1/1.jpg", "0/writer2/1.jpg", "1/writer1/1.jpg", "1/writer2/1.jpg"), ("0", "1")),
        (("a/2023/1.jpg", "a/2024/1.jpg", "b/2023/1.jpg", "b/2024/1.jpg"), ("a", "b")),
    ],
)  # fmt: skip
def test_classes_stay_classes(names: tuple[str, ...], classes: tuple[str, ...], tmp_path: Path) -> None:
    source = find_photos(make(tmp_path, *names))
    assert source.classes == classes
    assert (source.given_sides, source.notes) == (frozenset(), ())


def test_what_names_cannot_decide_is_printed_and_can_be_said(tmp_path: Path) -> None:
    with_classes(tmp_path, "bus", "train", classes="day night")
    source = find_photos(tmp_path)
    assert source.classes == ("bus", "train")
    same = "the classes are bus, train, and folders in them have the same names (day, night)"
    assert source.notes == (f"{same}; if those are the classes: --folders parts",)
    assert find_photos(tmp_path, folders="parts").classes == ("day", "night")


def test_the_user_decides(tmp_path: Path) -> None:
    with_classes(tmp_path, "Training", "Testing")
    source = find_photos(tmp_path, folders="classes")
    assert (source.classes, source.layout, source.notes) == (("Testing", "Training"), "classes", ())
    source = find_photos(tmp_path, folders="parts")
    assert (source.classes, source.given_sides) == (("glioma", "notumor"), frozenset())
    with_classes(tmp_path / "odd", "my train", "test 2 of mine", classes="x")
    assert find_photos(tmp_path / "odd", folders="sides", one_class=True).given_sides == {"train", "test"}
    with_classes(tmp_path / "none", "red", "blue")
    with pytest.raises(
        PhotosError, match=r"--folders sides needs a folder for training .* found blue, red\n  name them"
    ):
        find_photos(tmp_path / "none", folders="sides")


@pytest.mark.parametrize(
    "names", [("fold1", "fold2", "fold3"), ("set_a", "set_b"), ("2023", "2024"), ("train1", "train2")]
)
def test_parts_are_read_together(names: tuple[str, ...], tmp_path: Path) -> None:
    source = find_photos(with_classes(tmp_path, *names))
    assert source.classes == ("glioma", "notumor")
    assert (source.layout, source.given_sides, len(source.photos)) == ("classes", frozenset(), 4 * len(names))
    assert source.notes[0].startswith(f"{names[0]}/, {names[1]}/") and "--folders classes" in source.notes[0]


def test_sides_in_the_classes(tmp_path: Path) -> None:
    source = find_photos(make(tmp_path, *(f"{c}/{s}/1.jpg" for c in ("daisy", "rose") for s in ("train", "test"))))
    assert source.classes == ("daisy", "rose")
    assert {p.name: (p.label, p.split) for p in source.photos}["rose/test/1.jpg"] == ("rose", "test")
    assert "--folders classes" in source.notes[0]
    make(tmp_path, "tulip/1.jpg")  # a class without sides: then they are only folders
    assert find_photos(tmp_path).given_sides == frozenset()


@pytest.mark.parametrize("inner", ["flowers", "dataset", "Images", "flowers/train", "PetImages/PetImages"])
def test_a_folder_that_only_wraps_the_classes(inner: str, tmp_path: Path) -> None:
    source = find_photos(make(tmp_path / "flowers-master", f"{inner}/daisy/1.jpg", f"{inner}/rose/1.jpg"))
    assert source.classes == ("daisy", "rose")
    assert f"{inner}/ is the only folder with photos" in source.notes[-1]


def test_a_folder_that_wraps_sides_and_sides_that_wrap_classes(tmp_path: Path) -> None:
    with_classes(tmp_path / "chest", "chest_xray/train", "chest_xray/val")
    assert find_photos(tmp_path / "chest").given_sides == {"train", "validation"}
    with_classes(tmp_path / "intel", "seg_train/seg_train", "seg_test/seg_test", classes="forest sea")
    make(tmp_path / "intel", "seg_pred/seg_pred/1.jpg")
    source = find_photos(tmp_path / "intel")
    assert source.classes == ("forest", "sea")
    assert sides(source) == {"seg_train": "train", "seg_test": "test"}
    assert any(note.startswith("seg_pred/ is next to") for note in source.notes)


@pytest.mark.parametrize("boxes", ["train/labels/1.txt", "annotations/instances_train.json"])
def test_a_split_for_detection_has_no_classes(boxes: str, tmp_path: Path) -> None:
    make(tmp_path, "train/images/1.jpg", "train/images/2.jpg", "valid/images/3.jpg")
    (tmp_path / boxes).parent.mkdir()
    (tmp_path / boxes).write_text("0 0.5 0.5 0.2 0.2")
    with pytest.raises(PhotosError, match="have photos but no class folders") as error:
        find_photos(tmp_path)
    assert "files of boxes for detecting objects do not name the class of a photo" in str(error.value)


def test_the_only_class_is_not_a_wrapper(tmp_path: Path) -> None:
    make(tmp_path / "photos", "ants/2023/1.jpg", "ants/2024/1.jpg")
    with pytest.raises(PhotosError, match="one class only: ants"):
        find_photos(tmp_path / "photos")


@pytest.mark.parametrize(
    "test", [("test/1.jpg", "test/2.jpg"), ("test/images/1.jpg", "test/images/2.jpg"), ("test/unknown/1.jpg",) * 2,
             ("alphabet_test/alphabet_test/1.jpg", "alphabet_test/alphabet_test/2.jpg"), ("to_predict/1.jpg",) * 2]
)  # fmt: skip
@pytest.mark.parametrize("extra", [(), ("images/1.jpg",)])
def test_labels_next_to_photos_without_labels(test: tuple[str, ...], extra: tuple[str, ...], tmp_path: Path) -> None:
    with_classes(tmp_path, "train", classes="charlock maize")
    make(tmp_path, *test, *extra)
    folder, n = test[0].split("/")[0], len(set(test))
    with pytest.raises(PhotosError) as error:
        find_photos(tmp_path)
    lines = str(error.value).splitlines()
    assert lines[0].startswith(f"{tmp_path}/{folder} has {n} photo")
    assert f"regraft train {tmp_path}/train" in lines[1] and f"regraft predict RUN {tmp_path}/{folder}" in lines[2]
    assert "--folders classes" in lines[3]
    assert find_photos(tmp_path / "train").classes == ("charlock", "maize")
    assert "train" in find_photos(tmp_path, folders="classes").classes


def test_a_split_without_labels_in_other_words(tmp_path: Path) -> None:
    make(tmp_path, "Training/1.jpg", "Testing/1.jpg")
    with pytest.raises(PhotosError, match=r"have photos but no class folders[\s\S]*--folders classes"):
        find_photos(tmp_path)


def test_classes_that_a_classifier_knows(tmp_path: Path) -> None:
    with_classes(tmp_path, "training", "testing", classes="day night")
    assert find_photos(tmp_path, one_class=True, known=("meeting", "testing", "training")).classes == (
        "testing",
        "training",
    )


def test_image_folder_reads_the_same_sides(tmp_path: Path) -> None:
    with_classes(tmp_path, "Training", "Testing")
    photos = ImageFolder(tmp_path, size=32)
    assert (photos.classes, len(photos), photos.validation, len(photos.test)) == (("glioma", "notumor"), 4, None, 4)
    assert ImageFolder(tmp_path, size=32, folders="classes").classes == ("Testing", "Training")
    with pytest.raises(ConfigError, match="folders: expected 'classes', 'sides', 'parts' or None, found 'split'"):
        ImageFolder(tmp_path, folders="split")


def test_training_next_to_a_test_of_the_same_name(tmp_path: Path) -> None:
    with_classes(tmp_path, "rps", "rps-test-set", classes="paper rock scissors")
    assert sides(find_photos(tmp_path)) == {"rps": "train", "rps-test-set": "test"}


def test_sides_and_classes_in_one_name(tmp_path: Path) -> None:
    make(tmp_path, *(f"{side}_{name}/1.jpg" for side in ("train", "test") for name in ("Black Cat", "dog")))
    source = find_photos(tmp_path)
    assert {p.name: (p.label, p.split) for p in source.photos} == {
        "train_Black Cat/1.jpg": ("Black Cat", "train"),
        "train_dog/1.jpg": ("dog", "train"),
        "test_Black Cat/1.jpg": ("Black Cat", "test"),
        "test_dog/1.jpg": ("dog", "test"),
    }
    assert "--folders classes" in source.notes[0]
    make(tmp_path / "faces", "training_real/1.jpg", "training_fake/1.jpg")
    assert find_photos(tmp_path / "faces").classes == ("training_fake", "training_real")


def test_folds_with_a_split_each_are_refused(tmp_path: Path) -> None:
    with_classes(tmp_path, *(f"fold{k}/{side}" for k in (1, 2) for side in ("train", "test")))
    with pytest.raises(PhotosError, match=r"each of fold1, fold2 has a split of its own[\s\S]*regraft train .*/fold1"):
        find_photos(tmp_path)
    assert find_photos(tmp_path / "fold1").given_sides == {"train", "test"}


def test_sides_without_training_are_parts(tmp_path: Path) -> None:
    source = find_photos(with_classes(tmp_path, "val", "test"))
    assert (source.classes, source.given_sides) == (("glioma", "notumor"), frozenset())


def test_parts_may_be_kept_together(tmp_path: Path) -> None:
    source = find_photos(with_classes(tmp_path, "patient 01", "patient 02"))
    assert "--group-by '^([^/]+/)'" in source.notes[1]


def test_a_general_folder_that_became_a_class_is_named(tmp_path: Path) -> None:
    with_classes(tmp_path, "images")
    source = find_photos(make(tmp_path, "docs/1.jpg"))
    assert source.classes == ("docs", "images")
    assert source.notes == ("the classes are docs, images; if the folders in images/ are, name that folder as PHOTOS",)


def test_classes_that_a_classifier_knows_are_found_below_any_folder(tmp_path: Path) -> None:
    with_classes(tmp_path, "some day", "Testing", classes="ants bees")
    source = find_photos(tmp_path, one_class=True, known=("ants", "bees", "wasps"))
    assert (source.classes, len(source.photos), source.notes) == (("ants", "bees"), 8, ())


def test_folders_that_wrap_each_other_by_another_name_than_the_root(tmp_path: Path) -> None:
    with_classes(tmp_path, "car_data/car_data/train", "car_data/car_data/test", classes="audi bmw")
    assert find_photos(tmp_path).given_sides == {"train", "test"}


def test_a_loose_photo_does_not_hide_parts_and_another_folder_leaves_a_note(tmp_path: Path) -> None:
    with_classes(tmp_path, "fold_0", "fold_1")
    make(tmp_path, "fold_0/loose.jpg")
    assert find_photos(tmp_path).classes == ("glioma", "notumor")
    source = find_photos(make(tmp_path, "README/1.jpg"))
    assert source.classes == ("README", "fold_0", "fold_1")
    assert source.notes[-1].endswith("if those are the classes: --folders parts")
    assert find_photos(tmp_path, folders="parts").classes == ("glioma", "notumor")
