"""Conversion of pixels to upright 8-bit sRGB."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from regraft.data.decoding.colour import exif_orientation, to_rgb, to_rgb_in_strips, to_srgb, turn_upright


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "RGBA", "P", "LA"])
@pytest.mark.parametrize("factor", [1, 3])
def test_strips_give_the_pixels_of_the_whole_image(mode: str, factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regraft.data.decoding.colour._STRIP", 200)
    image = Image.fromarray(noise((47, 31, 3))).convert(mode)
    whole = to_rgb(image)
    expected = whole.reduce(factor) if factor > 1 else whole
    strips = to_rgb_in_strips(image, factor)
    assert strips.size == expected.size and strips.mode == "RGB"
    assert np.array_equal(np.asarray(strips), np.asarray(expected))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 257, 65535]], dtype=np.uint16), [0, 1, 255]),
        (np.array([[0.0, 0.5, 1.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], dtype=np.float32), [0, 100, 255]),
        (np.array([[0, 257, 65535]], dtype=np.int32), [0, 1, 255]),
        (np.array([[-1.0, 0.0, 1.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0.0, np.nan, 1.0]], dtype=np.float32), [0, 0, 255]),
        (np.array([[-5, -5, -5]], dtype=np.int32), [0, 0, 0]),
    ],
)
def test_ranges_of_values_above_8_bits(values: np.ndarray, expected: list[int]) -> None:
    pixels = np.asarray(to_rgb(Image.fromarray(values)))
    assert pixels[0, :, 0].tolist() == expected and (pixels == pixels[..., :1]).all()


def test_transparent_pixels_become_white() -> None:
    rgba = np.zeros((1, 3, 4), dtype=np.uint8)
    rgba[0, :, 3] = [0, 128, 255]
    assert np.asarray(to_rgb(Image.fromarray(rgba)))[0, :, 0].tolist() == [255, 127, 0]


@pytest.mark.parametrize("profile", [None, b"", b"not a profile", "text"])
def test_a_broken_profile_is_ignored(profile: object) -> None:
    image = Image.fromarray(noise((4, 5, 3)))
    assert np.array_equal(np.asarray(to_srgb(image, profile)), np.asarray(image))


@pytest.mark.parametrize("value", range(10))
def test_orientations_of_exif(value: int) -> None:
    image = Image.fromarray(noise((4, 6, 3)))
    image.getexif()[0x0112] = value
    expected = value if 2 <= value <= 8 else 1
    assert exif_orientation(image) == expected
    from PIL import ImageOps

    assert np.array_equal(np.asarray(turn_upright(image, expected)), np.asarray(ImageOps.exif_transpose(image)))
