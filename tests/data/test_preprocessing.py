"""Pixels equal timm's evaluation transform to the byte, and reduced-scale decoding changes nothing that matters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from regraft.data.decode import read_photo
from regraft.data.preprocessing import CROP_MODES, INTERPOLATIONS, Preprocessing, evaluation_pixels, normalise
from regraft.errors import ConfigError
from regraft.models.timm_import import import_timm


def timm_transform(p: Preprocessing) -> Any:
    import_timm()
    from timm.data import create_transform

    return create_transform(
        (3, p.height, p.width),
        interpolation=p.interpolation,
        mean=p.mean,
        std=p.std,
        crop_pct=p.crop_pct,
        crop_mode=p.crop_mode,
    )


def pixels_of_timm(image: Image.Image, p: Preprocessing) -> np.ndarray:
    transform = timm_transform(p)
    for step in transform.transforms[:-2]:  # without ToTensor and Normalize
        image = step(image)
    return np.asarray(image)


def noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width * 10_000 + height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("crop_mode", CROP_MODES)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "lanczos", "nearest"])
def test_equals_timm(crop_mode: str, interpolation: str) -> None:
    compared = 0
    for height, width, crop_pct in ((224, 224, 0.875), (32, 48, 0.9), (64, 64, 1.0), (65, 65, 0.95), (30, 31, 0.5)):
        p = Preprocessing(height, width, interpolation, crop_pct=crop_pct, crop_mode=crop_mode)
        for size in ((500, 375), (375, 500), (256, 256), (33, 31), (7, 300), (301, 8), (1, 1), (224, 224)):
            image = noise(*size)
            assert np.array_equal(evaluation_pixels(image, p), pixels_of_timm(image, p)), (p, size)
            compared += 1
    assert compared == 40


@settings(max_examples=150, deadline=None)
@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    side=st.integers(8, 96),
    crop_pct=st.floats(0.3, 1.2),
    crop_mode=st.sampled_from(CROP_MODES),
)
def test_equals_timm_for_any_size(width: int, height: int, side: int, crop_pct: float, crop_mode: str) -> None:
    p = Preprocessing(side, side, crop_pct=crop_pct, crop_mode=crop_mode)
    image = noise(width, height)
    ours = evaluation_pixels(image, p)
    assert ours.shape == (side, side, 3)
    assert ours.dtype == np.uint8
    if crop_mode == "border" and max(width, height) > 11 * min(width, height):
        return  # here timm may resize the short side to nothing, and fail
    assert np.array_equal(ours, pixels_of_timm(image, p))


def test_normalised_as_timm_does() -> None:
    p = Preprocessing(64, 64)
    image = noise(90, 80)
    ours = normalise(evaluation_pixels(image, p)[None], p)
    assert torch.equal(ours[0], timm_transform(p)(image))
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert ours.dtype == torch.float32


def test_normalise_leaves_its_input_alone() -> None:
    pixels = np.full((2, 4, 4, 3), 200, dtype=np.uint8)
    pixels.flags.writeable = False
    first = normalise(pixels, Preprocessing(4, 4))
    assert np.array_equal(pixels, np.full((2, 4, 4, 3), 200))
    assert torch.equal(first, normalise(pixels, Preprocessing(4, 4)))


def smooth(width: int, height: int) -> Image.Image:
    x, y = np.arange(width)[None, :, None] / 40, np.arange(height)[:, None, None] / 40
    return Image.fromarray((128 + 100 * np.sin(x + y + np.arange(3))).astype(np.uint8))


@pytest.mark.parametrize("turn", [False, True])
def test_a_ribbon_is_not_resized_to_gigabytes(turn: bool) -> None:
    p = Preprocessing(64, 64)
    ribbon = smooth(200_000, 3)
    middle = ribbon.crop((99_000, 0, 101_000, 3))
    if turn:
        ribbon, middle = (image.transpose(Image.Transpose.TRANSPOSE) for image in (ribbon, middle))
    pixels = evaluation_pixels(ribbon, p)  # 4,866,666 × 73 pixels otherwise
    assert pixels.shape == (64, 64, 3)
    assert np.abs(pixels.astype(int) - evaluation_pixels(middle, p)).max() <= 1


@pytest.mark.parametrize("size", [(500, 375), (97, 450), (64, 64), (640, 70)])
def test_only_the_middle_is_equal_but_for_rounding(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    p = Preprocessing(64, 64)
    image = smooth(*size)
    whole = evaluation_pixels(image, p).astype(int)
    monkeypatch.setattr("regraft.data.preprocessing._MAX_RESIZED_PIXELS", 1)
    assert np.abs(evaluation_pixels(image, p) - whole).max() <= 2


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9)))


@pytest.mark.slow
def test_reduced_scale_loses_nothing_visible(photos_root: Path, tmp_path: Path) -> None:
    p = Preprocessing()
    measured = []
    for photo in sorted((photos_root / "hymenoptera" / "train" / "ants").glob("*.jpg"))[:24]:
        with Image.open(photo) as opened:
            # photographed larger: sharp detail at the new size, as a camera's own photos have
            large = opened.convert("RGB").resize((1600, 1200), Image.Resampling.LANCZOS)
        large.save(tmp_path / "large.jpg", quality=92)
        data = (tmp_path / "large.jpg").read_bytes()
        full, reduced = read_photo(data), read_photo(data, at_least=p.at_least)
        assert full.size == (1600, 1200)
        assert reduced.size == (800, 600)
        measured.append(psnr(evaluation_pixels(full, p), evaluation_pixels(reduced, p)))
    assert len(measured) == 24
    assert min(measured) > 38
    assert np.median(measured) > 42


def test_scale_is_reduced_only_where_twice_the_target_remains() -> None:
    import io

    out = io.BytesIO()
    noise(1030, 600).save(out, "JPEG")
    for side, expected in ((600, (1030, 600)), (151, (1030, 600)), (150, (515, 300)), (75, (258, 150)), (5, (129, 75))):
        assert read_photo(out.getvalue(), at_least=(side, side)).size == expected
    assert read_photo(out.getvalue(), at_least=lambda size: (size[0] // 4, size[1] // 4)).size == (515, 300)


def test_what_is_asked_for_is_of_the_upright_photo() -> None:
    import io

    out = io.BytesIO()
    said = Image.Exif()
    said[0x0112] = 6
    noise(800, 400).save(out, "JPEG", exif=said)
    seen = []
    image = read_photo(out.getvalue(), at_least=lambda size: seen.append(size) or (100, 200))
    assert seen == [(400, 800)]
    assert image.size == (200, 400)


def test_id_depends_on_every_field() -> None:
    base = Preprocessing()
    others = [
        Preprocessing(height=225),
        Preprocessing(width=225),
        Preprocessing(interpolation="bilinear"),
        Preprocessing(mean=(0.5, 0.456, 0.406)),
        Preprocessing(std=(0.5, 0.224, 0.225)),
        Preprocessing(crop_pct=0.9),
        Preprocessing(crop_mode="squash"),
        Preprocessing(white_level=4095),
        Preprocessing(ground="visible"),
    ]
    assert len({p.id for p in (base, *others)}) == 10 == len(Preprocessing.__dataclass_fields__) + 1
    assert Preprocessing().id == base.id


def test_survives_json() -> None:
    p = Preprocessing(240, 200, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 0.95, "border")
    assert Preprocessing.from_dict(json.loads(json.dumps(p.as_dict()))) == p


def test_what_cannot_be_is_said_at_once() -> None:
    with pytest.raises(
        ConfigError, match=r"3 problems\n.*size must be positive.*\n.*did you mean 'bicubic'.*\n.*crop_mode"
    ):
        Preprocessing(height=0, interpolation="bicubi", crop_mode="middle")
    with pytest.raises(ConfigError, match="unknown field 'higth'; did you mean 'height'"):
        Preprocessing.from_dict({"higth": 3})
    assert set(INTERPOLATIONS) >= {"bicubic", "bilinear"}
