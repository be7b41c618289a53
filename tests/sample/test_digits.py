"""The sample is complete, is written whole or not at all, and never over other files."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from regraft.errors import PhotosError
from regraft.sample.digits import COUNT, SIDE, load_digits, write_digits


def test_the_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is what the digits are compared with")
    (images, labels), theirs = load_digits(), datasets.load_digits()
    assert images.dtype == labels.dtype == np.uint8
    assert np.array_equal(images, theirs.images)
    assert np.array_equal(labels, theirs.target)


def test_the_pixels_of_the_folder_never_change(tmp_path):
    write_digits(tmp_path / "digits")
    digest = hashlib.sha256()
    for path in sorted((tmp_path / "digits").rglob("*.png")):
        with Image.open(path) as image:  # pixels, not files: how they are compressed depends on zlib
            digest.update(path.relative_to(tmp_path).as_posix().encode() + np.asarray(image).tobytes())
    assert digest.hexdigest() == "eed8733cabaaf802c0c01e1b9b4a0a52d9cda447ed11c3b9e56093a7fae2ebb1"


def test_the_digits_are_a_folder_per_class(tmp_path):
    assert write_digits(tmp_path / "digits") == COUNT
    assert sorted(p.name for p in (tmp_path / "digits").iterdir()) == [str(k) for k in range(10)]
    files = sorted((tmp_path / "digits").rglob("*.png"))
    assert len(files) == COUNT
    with Image.open(files[0]) as image:
        assert image.size == (SIDE, SIDE) and image.mode == "L"
        pixels = np.asarray(image)
    assert pixels.max() == 255 and pixels.min() < 60  # dark ink on white paper
    assert [p.name for p in tmp_path.iterdir()] == ["digits"]


def test_a_second_call_changes_nothing(tmp_path):
    write_digits(tmp_path / "digits", per_class=2)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "digits").rglob("*")}
    assert write_digits(tmp_path / "digits", per_class=2) == 20
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "digits").rglob("*")} == before


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "deep").mkdir()
    assert write_digits(tmp_path / "deep", per_class=1) == 10


@pytest.mark.parametrize("name", ["mine.png", "0/mine.txt"])
def test_other_files_are_never_overwritten(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(PhotosError, match="contains other files, which regraft does not overwrite"):
        write_digits(tmp_path, per_class=1)
    assert (tmp_path / name).read_bytes() == b"precious"


def test_a_file_of_that_name_is_never_overwritten(tmp_path):
    (tmp_path / "digits").write_bytes(b"precious")
    with pytest.raises(PhotosError, match="contains other files"):
        write_digits(tmp_path / "digits")


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*arguments, **more):
        raise OSError("no space")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="no space"):
        write_digits(tmp_path / "digits", per_class=1)
    assert list(tmp_path.iterdir()) == []
