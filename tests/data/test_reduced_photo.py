"""A reduced photo has the size that views need, and a small photo keeps its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data.odd_files import encoded
from making import entries_of
from regraft.data.augmentation import Augmentation, random_view
from regraft.data.decode import read_photo
from regraft.data.loading.reduced_photo import LoadReduced, reduced_side, reduced_size
from regraft.data.preprocessing import Preprocessing

P = Preprocessing(64, 64)


def textured(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("height", "width", "side"), [(224, 224, 292), (64, 64, 84), (128, 224, 292)])
def test_the_side_leaves_a_margin_around_the_input(height: int, width: int, side: int) -> None:
    assert reduced_side(Preprocessing(height, width)) == side


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(16, 600))
def test_the_shorter_side_is_reached_and_the_form_kept(width: int, height: int, side: int) -> None:
    wide, high = reduced_size((width, height), side)
    assert min(wide, high) == min(side, width, height)
    assert abs(wide * min(width, height) - width * min(wide, high)) <= min(width, height)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_large_photos_are_reduced_upright(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter
    (tmp_path / "photo").write_bytes(encoded(textured(800, 600), kind, exif=exif))
    (entry,) = entries_of([tmp_path / "photo"])
    pixels = LoadReduced(60)(entry)
    assert pixels.shape == (80, 60, 3)
    upright = read_photo(tmp_path / "photo").resize((60, 80), Image.Resampling.LANCZOS)
    assert np.abs(pixels.astype(int) - np.asarray(upright)).mean() < 1.5


def test_views_of_a_small_photo_are_those_of_the_whole_photo(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(encoded(textured(90, 70), "JPEG"))
    (entry,) = entries_of([tmp_path / "photo"])
    pixels = LoadReduced(reduced_side(P))(entry)
    a = Augmentation()
    assert np.array_equal(
        random_view(Image.fromarray(pixels), P, a, 1, "x"), random_view(read_photo(tmp_path / "photo"), P, a, 1, "x")
    )


def test_views_of_reduced_photos_are_close_to_those_of_whole_photos(photos_root: Path) -> None:
    values = []
    files = sorted((photos_root / "hymenoptera" / "val" / "bees").glob("*.jpg"))[:12]
    for i, entry in enumerate(entries_of(files)):
        p = Preprocessing(160, 160)
        whole = random_view(read_photo(entry.path), p, Augmentation(), i).astype(float)
        reduced = random_view(Image.fromarray(LoadReduced(reduced_side(p))(entry)), p, Augmentation(), i)
        values.append(10 * np.log10(255**2 / np.mean((whole - reduced) ** 2)))
    assert len(values) == 12
    assert min(values) > 32
    assert np.mean(values) > 38


def test_the_id_names_what_the_pixels_depend_on() -> None:
    assert LoadReduced(60).id != LoadReduced(61).id
    assert LoadReduced.from_dict(LoadReduced(60).as_dict()) == LoadReduced(60)
