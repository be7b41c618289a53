"""`rg.train` on data sets of Python: torchvision, PyTorch, Hugging Face, data frames."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Subset

import regraft
from making import make_photos
from recorded_screen import RecordedScreen
from regraft.data.python_datasets import Item, is_dataset, items_of
from regraft.errors import ConfigError
from regraft.workflows.steps.stored_dataset import picture_file, stored_dataset

torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("datasets") / "photos", {"10": 8, "9": 8})


class Pairs:
    """A data set of (picture, class) pairs."""

    def __init__(self, pictures, labels, **attributes):
        self.pairs = list(zip(pictures, labels, strict=True))
        vars(self).update(attributes)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        return self.pairs[i]


def pictures(count=4):
    draw = np.random.default_rng(0)
    return [Image.fromarray(draw.integers(0, 256, (24, 24, 3), dtype=np.uint8)) for _ in range(count)]


def labels_of(dataset):
    return [item.label for item in items_of(dataset)]


def go(dataset, out, tiny, **options):
    screen = RecordedScreen()
    return regraft.train(dataset, out=out, recipe="linear-probe", screen=screen, **tiny, **options), screen


def test_an_image_folder_of_torchvision_trains_on_its_own_files(photos, tiny, tmp_path):
    """Classes go by number and name: the order of texts puts 10 before 9, vision#714."""
    dataset = torchvision.datasets.ImageFolder(str(photos), transform=torchvision.transforms.RandomCrop(8))
    run, _ = go(dataset, tmp_path / "run", tiny)
    plain, _ = go(photos, tmp_path / "plain", tiny)
    rows = {row["path"]: row["class"] for row in csv.DictReader((run.folder / "manifest.csv").open())}
    assert len(rows) == 16
    assert all(name.startswith(f"{label}/") for name, label in rows.items())
    assert run.metrics["measured"] == plain.metrics["measured"]
    assert run.evaluate(dataset, include_training=True, screen=RecordedScreen())["n"] == 16


def test_a_number_means_the_class_that_class_to_idx_gives_it():
    dataset = Pairs(pictures(2), [0, 2], classes=["ant", "bee"], class_to_idx={"bee": 0, "ant": 2})
    assert labels_of(dataset) == ["bee", "ant"]


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        ([0, 1], ["ant", "bee"], ["ant", "bee"]),
        ([torch.tensor(1), np.int64(0)], ["ant", "bee"], ["bee", "ant"]),
        ([7, 3], None, ["7", "3"]),
        (["x", "y"], None, ["x", "y"]),
    ],
)
def test_classes_as_the_data_set_has_them(labels, names, expected):
    assert labels_of(Pairs(pictures(2), labels, **({} if names is None else {"classes": names}))) == expected


def test_subsets_and_concatenations():
    dataset = Pairs(pictures(), ["a", "b", "c", "d"])
    assert labels_of(Subset(Subset(dataset, [3, 2, 0]), [0, 2])) == ["d", "a"]
    assert labels_of(ConcatDataset([dataset, Subset(dataset, [1])])) == ["a", "b", "c", "d", "b"]


def test_pictures_in_memory_are_stored_once_and_train(tiny, tmp_path):
    draw = np.random.default_rng(0)
    pixels = [np.clip(draw.normal(60 + 120 * (i % 2), 20, (24, 24, 3)), 0, 255).astype(np.uint8) for i in range(16)]
    dataset = Pairs(pixels, [i % 2 for i in range(16)], classes=["dark", "bright"])
    run, screen = go(
        {"train": Subset(dataset, range(12)), "test": Subset(dataset, range(12, 16))}, tmp_path / "run", tiny
    )
    rows = list(csv.DictReader((run.folder / "manifest.csv").open()))
    assert [row["split"] for row in rows] == ["train"] * 12 + ["test"] * 4
    assert {row["class"] for row in rows} == {"dark", "bright"}
    assert "16 pictures of the data set are in" in " ".join(screen.texts)
    assert regraft.resume(run.folder, screen=RecordedScreen()).metrics == run.metrics


def test_the_pixels_stay_the_same(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for picture in (pixels, Image.fromarray(pixels), torch.from_numpy(pixels).permute(2, 0, 1) / 255):
        data, suffix = picture_file(picture)
        (tmp_path / f"x{suffix}").write_bytes(data)
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"x{suffix}")), pixels)
    cmyk = Image.new("CMYK", (4, 4), (0, 0, 0, 255))
    assert picture_file(cmyk)[1] == ".png"
    assert picture_file(Path(__file__)) == (Path(__file__).read_bytes(), ".py")


def test_transforms_of_torchvision_do_not_touch_the_photos(tmp_path):
    class Digits(torchvision.datasets.VisionDataset):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            picture = pictures()[i]
            return (self.transform(picture) if self.transform else picture), i

    dataset = Digits(str(tmp_path), transform=lambda picture: picture.resize((2, 2)))
    assert [item.picture.size for item in items_of(dataset)] == [(24, 24), (24, 24)]
    assert dataset.transform is not None


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Pairs([], []), "the data set is empty"),
        (Pairs(pictures(1), [None]), "expected a class as a number or as text, found None"),
        (Pairs(pictures(1), [torch.ones(3)]), "expected a class as a number or as text, found tensor"),
        (Pairs(pictures(1), [5], classes=["a"]), "has no class of the number 5; its numbers are"),
        (Pairs(pictures(1), [0], target_transform=int), "has a target_transform, which changes its classes"),
        (Pairs([torch.full((3, 4, 4), -1.0)], ["a"]), "before any normalization"),
        (Pairs(["text"], ["a"]), "no such file"),
        (
            Subset(Pairs(pictures(2), ["a", "b"]), [0, 2]),
            "item 2 of the data set cannot be read: IndexError: list index",
        ),
        (torch.zeros(2, 3), "expected pairs of a picture and a class, found a Tensor at 0"),
    ],
)
def test_what_is_no_data_set_of_pictures_is_refused(dataset, message):
    with pytest.raises((ConfigError, OSError), match=f"(?i){message}"):
        stored_dataset(dataset, RecordedScreen())


@pytest.mark.slow
def test_a_data_frame_in_place_of_photos_is_a_table(photos, tiny, tmp_path, monkeypatch):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    monkeypatch.chdir(photos)
    paths = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    frame = pandas.DataFrame({"path": paths, "label": [path.partition("/")[0] for path in paths]})
    run, _ = go(frame, tmp_path / "run", tiny)
    assert run.model.classes == ("10", "9")
    with pytest.raises(ConfigError, match="the data set has its own classes"):
        regraft.train(frame, labels="labels.csv")


@pytest.mark.parametrize("value", ["photos", Path("photos"), ["a", "b"], b"x", {}, {"a": "photos"}, 7])
def test_other_values_are_no_data_sets(value):
    assert not is_dataset(value)


class Feature:
    def __init__(self, names=None, decode=True):
        self.names, self.decode = names, decode


class Image_(Feature):
    pass


Image_.__name__ = "Image"


class ClassLabel(Feature):
    pass


class HuggingFace:
    """The part of `datasets.Dataset` that regraft uses."""

    def __init__(self, rows, features):
        self.rows, self.features = rows, features

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]

    def __iter__(self):
        return iter(self.rows)

    def cast_column(self, name, feature):
        assert not feature.decode
        return HuggingFace(self.rows, {**self.features, name: feature})


def test_a_data_set_of_hugging_face():
    rows = [{"image": {"bytes": bytes([i]), "path": None}, "kind": i - 1} for i in range(3)]
    dataset = HuggingFace(rows, {"image": Image_(decode=False), "kind": ClassLabel(["zebra", "ant"])})
    assert list(items_of({"test": dataset})) == [Item(b"\x01", "zebra", "test"), Item(b"\x02", "ant", "test")]
    two = HuggingFace(rows, {"image": Image_(), "a": ClassLabel(["x"]), "b": ClassLabel(["x"])})
    with pytest.raises(ConfigError, match=r"one column of the kind ClassLabel in the data set, found a, b"):
        list(items_of(two))


def test_the_data_set_of_the_library():
    pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is not installed")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["zebra", "ant"])})
    data = picture_file(pictures()[0])[0]
    columns = {"image": [{"bytes": data, "path": None}] * 2, "label": [1, 0]}
    table = datasets.table.InMemoryTable(pa.table(columns, schema=features.arrow_schema))
    made = datasets.Dataset(table, datasets.DatasetInfo(features=features), fingerprint="0")
    assert list(items_of(made)) == [Item(data, "ant"), Item(data, "zebra")]


def test_a_subclass_that_changes_classes_is_refused(photos):
    class Merged(torchvision.datasets.ImageFolder):
        def __getitem__(self, i):
            picture, number = super().__getitem__(i)
            return picture, number - 1 if number else number

    with pytest.raises(ConfigError, match=r"Merged returns the class 0 for item \d+, and its samples have the class 1"):
        labels_of(Merged(str(photos)))

    class Turned(torchvision.datasets.ImageFolder):
        def __getitem__(self, i):
            picture, number = super().__getitem__(i)
            return picture.rotate(90), number

    assert labels_of(Turned(str(photos))) == ["10"] * 8 + ["9"] * 8
