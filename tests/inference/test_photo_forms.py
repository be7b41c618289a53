"""The same photo gets the same prediction in every form, and what is not a photo is refused with a reason."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from regraft.errors import ConfigError, PhotosError
from regraft.inference.predictor import Predictor
from regraft.models.classifier import Classifier
from regraft.models.zoo import build_backbone


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    classifier = Classifier(build_backbone("test_resnet", pretrained=False, size=64), ["ant", "bee", "fly"])
    weight = torch.randn_like(classifier.head.weight)
    classifier.set_head(weight, torch.zeros(3))
    return Predictor(classifier, engine="eager fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of a PNG of 90 by 70 pixels, a large JPEG that Exif turns, and a file that is no photo."""
    root = tmp_path_factory.mktemp("forms")
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 255, (70, 90, 3), np.uint8)).save(root / "a.png")
    large = Image.fromarray(draw.integers(0, 255, (6, 8, 3), np.uint8)).resize((800, 600), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    large.save(root / "b.jpg", exif=exif)
    (root / "c.jpg").write_bytes(b"no photo")
    return root


def forms_of(path: Path):
    """Yield a photo in every form, with the options of `predict`."""
    rgb = np.asarray(Image.open(path).convert("RGB"))
    yield str(path), {}
    yield path.read_bytes(), {}
    yield bytearray(path.read_bytes()), {}
    yield io.BytesIO(path.read_bytes()), {}
    yield path.open("rb"), {}
    yield Image.open(path), {}
    yield rgb, {}
    yield rgb[..., ::-1], {"channels": "bgr"}
    yield rgb.astype(np.float32), {}
    yield rgb / 255.0, {}
    yield rgb.astype(np.int64), {}
    yield np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]), {}
    yield torch.from_numpy(rgb.copy()).permute(2, 0, 1), {}
    yield torch.from_numpy(rgb.copy()).permute(2, 0, 1) / 255, {}
    yield torch.from_numpy(rgb.copy()), {}


def test_every_form_gives_the_same_bits(predictor, folder):
    expected = predictor.predict(folder / "a.png").top
    tops = [predictor.predict(form, **options).top for form, options in forms_of(folder / "a.png")]
    assert len(tops) == 15
    assert [top == expected for top in tops] == [True] * 15


def test_a_large_turned_jpeg_is_decoded_as_its_file(predictor, folder):
    path = folder / "b.jpg"
    expected = predictor.predict(path)
    for form in (path.read_bytes(), path.open("rb"), Image.open(path)):
        assert predictor.predict(form).top == expected.top
    upright = np.asarray(Image.open(path).convert("RGB").transpose(Image.Transpose.ROTATE_270))
    decoded = predictor.predict(upright)
    assert decoded.label == expected.label
    assert decoded.probability == pytest.approx(expected.probability, abs=0.02)


def test_views_of_bytes_are_those_of_the_file(predictor, folder):
    several = Predictor(predictor.classifier, engine="eager fp32", views=4)
    path = folder / "b.jpg"
    assert several.predict(path.read_bytes()).top == several.predict(path).top


def test_several_photos_in_any_collection(predictor, folder):
    a, b = folder / "a.png", folder / "b.jpg"
    expected = [predictor.predict(path).top for path in (a, b)]
    rgb = np.asarray(Image.open(a))
    for several in ([a, b], (a, b.read_bytes()), (path for path in (a, b)), [a.open("rb"), Image.open(b)]):
        predictions = predictor.predict(several)
        assert isinstance(predictions, list) and [one.top for one in predictions] == expected
    for batch in (np.stack([rgb, rgb]), torch.from_numpy(np.stack([rgb, rgb])).permute(0, 3, 1, 2)):
        assert [one.top for one in predictor.predict(batch)] == [expected[0]] * 2
    assert predictor.predict([]) == []


def test_a_column_of_paths_is_several_photos(predictor, folder):
    paths = [str(folder / "a.png"), str(folder / "b.jpg")]
    expected = [one.top for one in predictor.predict(paths)]
    objects = np.array([Path(paths[0]), Path(paths[1]).read_bytes()], object)
    for column in (np.array(paths), objects, pd.Series(paths), {paths[0]: 1, paths[1]: 2}.keys()):
        assert [one.top for one in predictor.predict(column)] == expected
    assert predictor.predict(np.array(paths)[0]).top == expected[0]
    with pytest.raises(ConfigError, match=r"found shape \(\)"):
        predictor.predict(np.array(paths[0]))


def test_a_dark_picture_of_a_batch_has_the_scale_of_the_others(predictor, folder):
    rgb = np.asarray(Image.open(folder / "a.png"))
    batch = np.stack([rgb, (rgb > 250).astype(np.uint8)])
    expected = [one.top for one in predictor.predict(batch)]
    assert [one.top for one in predictor.predict(batch.astype(np.float32))] == expected
    assert [one.top for one in predictor.predict(batch / 255)] == expected


def test_a_pattern_is_several_photos(predictor, folder, monkeypatch):
    monkeypatch.chdir(folder)
    predictions = predictor.predict("*.[pj]*g")
    assert [one.path for one in predictions] == ["a.png", "b.jpg", "c.jpg"]
    assert predictions[2].error is not None
    with pytest.raises(PhotosError, match=r"no photo matches '\*\.tif'"):
        predictor.predict("*.tif")


def test_a_generator_is_read_in_steps(predictor, folder):
    taken = []

    def camera():
        for k in range(1000):
            taken.append(k)
            yield Image.open(folder / "a.png")

    stream = predictor.stream(camera())
    assert next(stream).label is not None
    assert len(taken) < 300


def test_bytes_that_are_no_photo_are_an_error_of_that_photo(predictor, folder):
    good, bad = predictor.predict([(folder / "a.png").read_bytes(), b"GIF89a"])
    assert good.error is None and bad.label is None
    assert bad.error == predictor.predict([b"GIF89a"])[0].error != ""


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (7, "photos: expected a path, .* found a int"),
        ([None], "found a NoneType"),
        (np.zeros((5, 5, 7), np.uint8), r"expected 1, 3 or 4 channels, found an array of shape \(5, 5, 7\)"),
        (np.zeros((5,), np.uint8), r"found shape \(5,\)"),
        (np.zeros((0, 5, 3), np.uint8), r"found shape \(0, 5, 3\)"),
        (np.full((5, 5, 3), -1.5), "found values from -1.5 to -1.5\n  pass the picture itself, before any norm"),
        (np.full((5, 5, 3), np.nan), "found values from nan to nan"),
        (np.full((5, 5, 3), 4000, np.uint16), "found values from 4000 to 4000"),
        (np.full((5, 5, 3), "x"), "expected an array of numbers"),
        (io.StringIO("text"), "found one that reads str\n  open the file with mode 'rb'"),
    ],
)
def test_what_is_not_a_photo_is_refused(predictor, photo, message):
    with pytest.raises(ConfigError, match=message):
        predictor.predict(photo)


@pytest.mark.parametrize("address", ["https://a.b/c.jpg", "ftp://a/b.png", "file:///c.jpg", "data:image/png;base64,AA"])
def test_addresses_are_refused(predictor, address):
    for photos in (address, [address]):
        with pytest.raises(PhotosError, match="is an address: regraft loads nothing from the network"):
            predictor.predict(photos)


def test_the_order_of_channels_is_for_arrays(predictor, folder):
    with pytest.raises(ConfigError, match=r"channels='bgr' applies to arrays and tensors; found a PosixPath"):
        predictor.predict(folder / "a.png", channels="bgr")
    with pytest.raises(ConfigError, match="channels: expected 'rgb' or 'bgr', found 'gbr'"):
        predictor.predict(folder / "a.png", channels="gbr")
