"""`ImageFolder` as a data set: sides, batches, and what PyTorch expects of it."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch

from data.odd_files import encoded, picture
from regraft.data.augmentation import Augmentation
from regraft.data.image_folder import ImageFolder, PhotoSet
from regraft.errors import ConfigError, DecodeError, PhotosError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for label, n in (("a", 20), ("b", 12)):
        (tmp_path / label).mkdir()
        for i in range(n):
            (tmp_path / label / f"{i}.jpg").write_bytes(encoded(picture((40, 30 + i)), "JPEG"))
    (tmp_path / "a" / "cut.jpg").write_bytes(encoded(picture((400, 300)), "JPEG")[:2000])
    return tmp_path


def test_sides(root: Path) -> None:
    photos = ImageFolder(root, size=32)
    assert photos.validation is not None
    assert photos.test is not None
    assert photos.train is photos
    sides = [photos, photos.validation, photos.test]
    assert sum(len(side) for side in sides) == 32
    assert all(side.classes == ("a", "b") for side in sides)
    assert all(set(side.labels.tolist()) == {0, 1} for side in sides)
    names = Counter(entry.name for side in sides for entry in side.entries)
    assert set(names.values()) == {1}
    assert [e.name for e in photos.manifest.entries if e.status == "put aside"] == ["a/cut.jpg"]


def test_labels_from_names_and_from_a_data_frame(root: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted((root / "b").iterdir()):
        path.rename(flat / f"{'ant' if int(path.stem) % 2 else 'bee'}.{path.name}")
    by_name = ImageFolder(flat, size=32, label_from="prefix")
    names = sorted(path.name for path in flat.iterdir())
    frame = pd.DataFrame({"file_name": names, "species": [name[:3] for name in names]})
    by_table = ImageFolder(flat, frame, size=32)
    assert by_name.classes == by_table.classes == ("ant", "bee")
    assert [(e.name, e.label) for e in by_name.entries] == [(e.name, e.label) for e in by_table.entries]
    with pytest.raises(ConfigError, match="label_from: expected 'prefix', a pattern or None, found 3"):
        ImageFolder(flat, label_from=3)  # type: ignore[arg-type]


def test_items(root: Path) -> None:
    photos = ImageFolder(root, size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    x, y = photos[0]
    assert x.shape == (3, 32, 32)
    assert x.dtype == torch.float32
    assert (type(y), y) == (int, photos.labels[0])
    assert 0 <= x.min() <= x.max() <= 1
    assert len(list(photos)) == len(photos)
    with pytest.raises(IndexError, match="out of range"):
        photos[len(photos)]


def test_batches_are_its_items(root: Path) -> None:
    photos = ImageFolder(root, size=32, augmentation=Augmentation(), workers=2)
    for epoch in (0, 1):
        photos.epoch = epoch
        x = torch.cat([x for x, _ in photos.batches(8).epoch(epoch)])
        assert torch.equal(x, torch.stack([photos[i][0] for i in range(len(photos))]))
    assert photos.validation is not None
    assert photos.validation.augmentation is None


def test_with_a_data_loader(root: Path) -> None:
    photos = ImageFolder(root, size=32)
    loader: torch.utils.data.DataLoader[tuple[torch.Tensor, int]] = torch.utils.data.DataLoader(photos, 8)  # type: ignore[arg-type]
    assert sum(len(y) for _, y in loader) == len(photos)
    again: PhotoSet = pickle.loads(pickle.dumps(photos))
    assert torch.equal(again[0][0], photos[0][0])


def test_given_splits_and_tables(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = "\n".join(
        f"{label}/{i}.jpg,{label},{side}" for label in "ab" for i, side in enumerate(("train", "train", "val"))
    )
    table = tmp_path_factory.mktemp("csv") / "labels.csv"
    table.write_text(f"path,label,split\n{rows}\n")
    photos = ImageFolder(root, table, size=32)
    assert photos.validation is not None
    assert (len(photos), len(photos.validation), photos.test) == (4, 2, None)


def test_another_split_seed_gives_another_split(root: Path) -> None:
    sides = [{e.name for e in ImageFolder(root, size=8, split_seed=s).entries} for s in range(2)]
    assert sides[0] != sides[1]


def test_without_the_check_a_damaged_photo_is_met_later(root: Path) -> None:
    photos = ImageFolder(root, size=32, check=False)
    everything = [photos, photos.validation, photos.test]
    met = [(side, i) for side in everything if side for i, e in enumerate(side.entries) if e.name == "a/cut.jpg"]
    ((side, i),) = met
    with pytest.raises(DecodeError, match=r"^a/cut.jpg: truncated"):
        side[i]


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="is empty"):
        ImageFolder(tmp_path)


@pytest.mark.parametrize(
    "counts", [{"a": 5, "b": 5}, {f"class {i:02}": 3 for i in range(30)}, {"many": 500, "few": 5}, {"a": 1, "b": 9}]
)
def test_small_folders(counts: dict[str, int], tmp_path: Path) -> None:
    for k, (label, n) in enumerate(counts.items()):
        (tmp_path / label).mkdir()
        for i in range(n):
            (tmp_path / label / f"{i}.png").write_bytes(encoded(picture((8 + i % 25, 8 + i // 25 + k)), "PNG"))
    photos = ImageFolder(tmp_path, size=8)
    assert set(photos.labels.tolist()) == set(range(len(counts)))
    total = sum(len(side) for side in (photos, photos.validation, photos.test) if side is not None)
    assert total == sum(counts.values())


def test_real_photos(photos_root: Path) -> None:
    photos = ImageFolder(photos_root / "hymenoptera", size=64, check=False)
    assert photos.validation is not None
    assert (len(photos), len(photos.validation), photos.test, photos.classes) == (245, 153, None, ("ants", "bees"))
