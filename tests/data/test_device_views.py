"""Views computed by tensors are those of Pillow within rounding, for each filter and for photos of any form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from regraft.data.augmentation import Augmentation, draw_view, random_view
from regraft.data.loading.device_views import normalize_on_device, views_on_device
from regraft.data.preprocessing import Preprocessing, normalise

P = Preprocessing(56, 48)
SIZES = [(90, 70), (70, 90), (64, 64), (40, 30), (300, 64), (30, 400), (56, 48)]


def noise(size: tuple[int, int]) -> Image.Image:
    coarse = np.random.default_rng(sum(size)).integers(0, 256, (size[1] // 2 + 1, size[0] // 2 + 1, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def views(images: list[Image.Image], p: Preprocessing, a: Augmentation, seed: int) -> np.ndarray:
    photos = [torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images]
    draws = [draw_view(image.size, a, (seed, i)) for i, image in enumerate(images)]
    out = views_on_device(photos, draws, p)
    assert out.shape == (len(images), 3, p.height, p.width) and out.dtype == torch.float32
    return out.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "hamming", "lanczos", "nearest", "box"])
@pytest.mark.parametrize("seed", range(4))
def test_they_are_those_of_pillow_within_rounding(interpolation: str, seed: int) -> None:
    p, a = dataclasses.replace(P, interpolation=interpolation), Augmentation()
    images = [noise(size) for size in SIZES]
    for i, (image, view) in enumerate(zip(images, views(images, p, a, seed), strict=True)):
        error = np.abs(view - random_view(image, p, a, seed, i).astype(float))
        if interpolation in {"nearest", "box"}:  # a pixel on the edge may fall on either side
            assert np.mean(error > 1) < 0.2, image.size
        else:
            assert error.mean() < 0.5, image.size
            assert error.max() <= 6, image.size


def test_a_view_does_not_depend_on_its_batch() -> None:
    images = [noise(size) for size in SIZES]
    together = views(images, P, Augmentation(), 0)
    alone = views(images[:1], P, Augmentation(), 0)
    assert np.abs(together[0] - alone[0]).max() <= 1


def test_the_identity_changes_nothing() -> None:
    still = Augmentation(scale=(1, 1), ratio=(1, 1), flip=False, brightness=0, contrast=0, saturation=0)
    image = noise((64, 64))
    assert np.array_equal(views([image], Preprocessing(64, 64), still, 0)[0], np.asarray(image))


def test_half_of_the_views_are_mirrored() -> None:
    still = Augmentation(scale=(1, 1), ratio=(1, 1), brightness=0, contrast=0, saturation=0)
    image = noise((64, 64))
    out = views([image] * 40, Preprocessing(64, 64), still, 0)
    mirrored = [np.array_equal(view, np.asarray(image)[:, ::-1]) for view in out]
    plain = [np.array_equal(view, np.asarray(image)) for view in out]
    assert all(a != b for a, b in zip(mirrored, plain, strict=True))
    assert 10 < sum(mirrored) < 30


def test_normalization_is_the_one_of_evaluation() -> None:
    pixels = np.asarray(noise((48, 56)))[None]
    found = normalize_on_device(torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).float(), P)
    assert torch.equal(found, normalise(pixels, P))
    assert found.is_contiguous(memory_format=torch.channels_last)
