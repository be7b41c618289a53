"""A view is a pure function of the photo and its key, spread as it should be, and sees what the photo holds."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from regraft.data.augmentation import Augmentation, _crop, _recolour, draw_view, random_view, view_decode_size
from regraft.data.decode import read_photo
from regraft.data.preprocessing import Preprocessing, evaluation_pixels
from regraft.errors import ConfigError

P = Preprocessing(64, 64)
STILL = Augmentation(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=False, brightness=0, contrast=0, saturation=0)


def gradient(width: int, height: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def test_the_key_decides_and_nothing_else() -> None:
    image = gradient(120, 90)
    first = random_view(image, P, Augmentation(), 0, 3, "content")
    np.random.seed(0)  # noqa: NPY002 - to show that it changes nothing
    assert np.array_equal(random_view(image, P, Augmentation(), 0, 3, "content"), first)
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    for key in ((1, 3, "content"), (0, 4, "content"), (0, 3, "other")):
        assert not np.array_equal(random_view(image, P, Augmentation(), *key), first)


def test_the_image_is_left_alone() -> None:
    image = gradient(120, 90)
    before = image.tobytes()
    random_view(image, P, Augmentation(), 0)
    assert image.tobytes() == before


def test_the_views_of_today_are_those_of_tomorrow() -> None:
    """Pinned, within rounding of the decoder: a change here changes what every fine-tuning run sees."""
    draw = draw_view((500, 375), Augmentation(), (0, 1, "c" * 64))
    seen = (draw.left, draw.top, draw.width, draw.height, draw.flip, draw.brightness, draw.contrast, draw.saturation)
    pinned = (
        0.050105985933,
        0.008682988219,
        0.723688974322,
        0.986699416298,
        1.000000000000,
        1.173567302964,
        1.134762785272,
        0.864446034441,
    )
    assert seen == pytest.approx(pinned, abs=1e-9)


def test_without_chance_it_is_the_plain_resize() -> None:
    image = gradient(80, 80)
    expected = np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC))
    assert np.array_equal(random_view(image, P, STILL, 0), expected)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.integers(),
    st.sampled_from(
        [Augmentation(), Augmentation(scale=(0.01, 0.1)), Augmentation(ratio=(0.2, 5.0)), Augmentation(scale=(1, 1))]
    ),
)
def test_the_crop_lies_in_the_photo(width: int, height: int, seed: int, a: Augmentation) -> None:
    draw = draw_view((width, height), a, (seed,))
    assert 0 <= draw.left <= draw.left + draw.width <= 1 + 1e-12
    assert 0 <= draw.top <= draw.top + draw.height <= 1 + 1e-12
    assert min(draw.width, draw.height) > 0
    ratio = draw.width * width / (draw.height * height)
    assert a.ratio[0] - 1e-9 <= ratio <= a.ratio[1] + 1e-9
    assert draw.width * draw.height <= a.scale[1] + 1e-9


def test_draws_are_spread_as_torchvision_spreads_them() -> None:
    from regraft.models.timm_import import import_timm

    import_timm()
    import torch
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    image, a, n = Image.new("RGB", (500, 375)), Augmentation(), 4000
    theirs = np.array([RandomResizedCrop.get_params(image, list(a.scale), list(a.ratio)) for _ in range(n)])
    draws = [draw_view((500, 375), a, (i,)) for i in range(n)]
    ours = np.array([(d.top * 375, d.left * 500, d.height * 375, d.width * 500) for d in draws])
    for column in range(4):
        points = np.linspace(0, max(theirs[:, column].max(), ours[:, column].max()), 200)
        shares = [np.searchsorted(np.sort(t[:, column]), points) / n for t in (theirs, ours)]
        assert np.abs(shares[0] - shares[1]).max() < 1.95 * (2 / n) ** 0.5 + 0.005  # Kolmogorov and Smirnov, 0.1 %
    assert abs(np.mean([d.flip for d in draws]) - 0.5) < 0.04
    for name in ("brightness", "contrast", "saturation"):
        values = np.array([getattr(d, name) for d in draws])
        assert 0.8 <= values.min() < 0.81
        assert 1.19 < values.max() <= 1.2
        assert abs(values.mean() - 1) < 0.01


def test_a_photo_of_extreme_form_gives_its_largest_crop() -> None:
    width, height = _crop((1000, 10), Augmentation(), np.full(10, 0.5), np.full(10, 0.5))
    assert (width * 1000, height * 10) == pytest.approx((10 * 4 / 3, 10))


def test_colours_as_pillow_changes_them() -> None:
    from PIL import ImageEnhance

    image = gradient(60, 60).point(lambda v: 60 + v // 2)  # so that nothing is clipped in between
    for b, c, s in ((1.2, 1.0, 1.0), (1.0, 0.8, 1.0), (1.0, 1.0, 1.2), (0.9, 1.1, 0.85)):
        expected = ImageEnhance.Brightness(image).enhance(b)
        expected = ImageEnhance.Contrast(expected).enhance(c)
        expected = ImageEnhance.Color(expected).enhance(s)
        ours = _recolour(image, b, c, s)
        assert np.abs(np.asarray(ours).astype(int) - np.asarray(expected)).max() <= 3


def test_colours_are_clipped_and_rounded() -> None:
    white, black = Image.new("RGB", (4, 4), (255, 255, 255)), Image.new("RGB", (4, 4))
    assert np.asarray(_recolour(white, 1.2, 1.2, 0.8)).min() == 255
    assert np.asarray(_recolour(black, 0.8, 1.2, 1.2)).max() == 0
    gray = Image.new("RGB", (4, 4), (100, 100, 100))
    assert np.asarray(_recolour(gray, 1.006, 1.0, 1.0))[0, 0].tolist() == [101, 101, 101]


def test_reduced_scale_loses_nothing_visible(photos_root: Path) -> None:
    p, a = Preprocessing(), Augmentation()
    values = []
    for i, photo in enumerate(sorted((photos_root / "hymenoptera" / "val" / "bees").glob("*.jpg"))[:16]):
        with Image.open(photo) as opened:
            large = opened.convert("RGB").resize((2000, 1500), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        large.save(out, "JPEG", quality=92)
        data = out.getvalue()
        full = read_photo(data)
        reduced = read_photo(data, at_least=lambda size, i=i: view_decode_size(size, p, a, i))
        assert reduced.width <= 1000
        error = np.mean((random_view(full, p, a, i).astype(float) - random_view(reduced, p, a, i)) ** 2)
        values.append(10 * np.log10(255**2 / error))
    assert len(values) == 16
    assert min(values) > 36


@settings(max_examples=100, deadline=None)
@given(st.integers(64, 4000), st.integers(64, 4000), st.integers())
def test_at_least_leaves_the_crop_the_networks_size(width: int, height: int, seed: int) -> None:
    a = Augmentation()
    wide, high = view_decode_size((width, height), P, a, seed)
    draw = draw_view((width, height), a, (seed,))
    assert wide * draw.width >= 64 - 1e-6
    assert high * draw.height >= 64 - 1e-6


def test_id_depends_on_every_field() -> None:
    base = Augmentation()
    others = [
        Augmentation(scale=(0.3, 1.0)),
        Augmentation(ratio=(1.0, 1.0)),
        Augmentation(flip=False),
        Augmentation(brightness=0.1),
        Augmentation(contrast=0.1),
        Augmentation(saturation=0.1),
    ]
    assert len({a.id for a in (base, *others)}) == 7 == len(Augmentation.__dataclass_fields__) + 1
    assert Augmentation().id == base.id


def test_what_cannot_be_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match=r"3 problems\n  scale.*\n  ratio.*\n  contrast"):
        Augmentation(scale=(0.5, 0.1), ratio=(-1, 1), contrast=3)


def test_the_middle_of_a_view_is_the_middle_of_the_photo() -> None:
    """The still view of a square agrees with the plain pixels of an equal crop."""
    square = Preprocessing(64, 64, crop_pct=1.0)
    image = gradient(300, 300)
    assert np.array_equal(random_view(image, square, STILL, 0), evaluation_pixels(image, square))
