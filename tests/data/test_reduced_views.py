"""Batches of views of reduced photos are the same whatever threads, batches and devices compute them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from regraft.data.augmentation import Augmentation
from regraft.data.loading import device_views, pixel_cache
from regraft.data.loading.loader import PhotoBatches, decode_in_order
from regraft.data.loading.photo_task import LoadPhoto
from regraft.data.loading.pixel_cache import PixelCache
from regraft.data.loading.reduced_views import ReducedViews
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing
from regraft.errors import DecodeError

LARGE = Preprocessing(40, 40)  # its reduced photos are the whole ones
SMALL = Preprocessing(16, 16)
A = Augmentation()
CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def pixels_of(views: ReducedViews, photos: list[Entry], batch_size: int = 6, a: Augmentation | None = A) -> np.ndarray:
    batches = list(views.batches(photos, a, (3, 1), batch_size=batch_size))
    assert [i for batch in batches for i in batch.index] == list(range(len(photos)))
    return np.concatenate([batch.pixels for batch in batches])


def epoch(reduced: ReducedViews | None, photos: list[Entry], p: Preprocessing, start: int = 0) -> list[torch.Tensor]:
    batches = PhotoBatches(
        photos, range(20), p, augmentation=A, seed=3, batch_size=6, shuffle=True, workers=2, reduced=reduced
    )
    return [tensor for pair in batches.epoch(1, start) for tensor in pair]


def test_views_of_small_photos_have_the_pixels_of_whole_photos(photos: list[Entry]) -> None:
    whole = np.concatenate(
        [b.pixels for b in decode_in_order(photos, LoadPhoto(LARGE, A, (3, 1)), batch_size=8, workers=2)]
    )
    assert np.array_equal(pixels_of(ReducedViews(PixelCache(LARGE)), photos), whole)
    reduced = ReducedViews(PixelCache(LARGE), workers=2)
    assert all(
        torch.equal(a, b) for a, b in zip(epoch(reduced, photos, LARGE), epoch(None, photos, LARGE), strict=True)
    )


def test_evaluation_pixels_are_those_of_whole_photos(photos: list[Entry]) -> None:
    batches = PhotoBatches(photos, range(20), SMALL, batch_size=6, workers=2)
    cached = PhotoBatches(photos, range(20), SMALL, batch_size=6, reduced=ReducedViews(PixelCache(SMALL), workers=2))
    for _ in range(2):
        for (x, y), (same_x, same_y) in zip(batches.epoch(0), cached.epoch(0), strict=True):
            assert torch.equal(x, same_x) and torch.equal(y, same_y)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("batch_size", [1, 7, 20])
def test_views_do_not_depend_on_threads_batches_or_what_is_cached(
    photos: list[Entry], workers: int, batch_size: int
) -> None:
    expected = pixels_of(ReducedViews(PixelCache(SMALL, memory=0)), photos)
    views = ReducedViews(PixelCache(SMALL), workers=workers)
    for _ in range(2):
        assert np.array_equal(pixels_of(views, photos, batch_size), expected)


@pytest.mark.parametrize("device", [None, CPU])
def test_an_epoch_continues_from_any_batch(photos: list[Entry], device: torch.device | None) -> None:
    views = ReducedViews(PixelCache(SMALL), device=device, room=10**6, workers=2)
    whole = epoch(views, photos, SMALL)
    for start in (1, 3):
        rest = epoch(views, photos, SMALL, start)
        assert all(torch.equal(a, b) for a, b in zip(rest, whole[2 * start :], strict=True))


@pytest.mark.parametrize("room", [0, 2500, 10**6])
def test_views_on_a_device_are_those_of_threads_within_rounding(
    photos: list[Entry], room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_tensors: list[int] = []
    compute = device_views.views_on_device

    def counted(some: list[torch.Tensor], *arguments: Any) -> torch.Tensor:
        by_tensors.append(len(some))
        return compute(some, *arguments)

    monkeypatch.setattr(device_views, "views_on_device", counted)
    on_device = ReducedViews(PixelCache(SMALL), device=CPU, room=room, workers=2)
    threads = ReducedViews(PixelCache(SMALL), workers=2)
    expected = epoch(threads, photos, SMALL)
    for _ in range(2):
        found = epoch(on_device, photos, SMALL)
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == b.dtype and (a - b).abs().max() < 3 / 255 / min(SMALL.std) + 1e-6
    assert sum(by_tensors) == 2 * len(photos)
    sent = sum(photo.nbytes for photo in on_device._on_device.values())
    assert sent <= room and (sent > 0) == (room > 0)


def test_views_for_the_feature_store_have_the_same_bits_on_every_device(photos: list[Entry]) -> None:
    on_device = ReducedViews(PixelCache(SMALL), device=CPU, room=10**6)
    assert np.array_equal(pixels_of(on_device, photos), pixels_of(ReducedViews(PixelCache(SMALL)), photos))


def test_photos_on_the_device_are_not_read_again(photos: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    views = ReducedViews(PixelCache(SMALL, memory=0), device=CPU, room=10**6, workers=2)
    first = epoch(views, photos, SMALL)
    monkeypatch.setattr(pixel_cache, "run_task", lambda task, entry: pytest.fail("decoded again"))
    assert all(torch.equal(a, b) for a, b in zip(epoch(views, photos, SMALL), first, strict=True))


@pytest.mark.parametrize("device", [None, CPU])
def test_a_photo_that_changes_between_epochs_is_named(photos: list[Entry], device: torch.device | None) -> None:
    views = ReducedViews(PixelCache(SMALL), device=device, room=10**6, workers=2)
    epoch(views, photos, SMALL)
    photos[9].path.unlink()
    with pytest.raises(DecodeError, match=rf"^{photos[9].name}: cannot be read"):
        epoch(views, photos, SMALL)
    failed = [pair for batch in views.batches(photos, A, (3, 1), batch_size=6) for pair in batch.failed]
    assert [position for position, _ in failed] == [9]


@pytest.mark.parametrize("device", [None, CPU])
def test_an_epoch_that_is_left_early_leaves_no_thread(photos: list[Entry], device: torch.device | None) -> None:
    views = ReducedViews(PixelCache(SMALL), device=device, room=10**6, workers=2)
    batches = PhotoBatches(photos, range(20), SMALL, augmentation=A, batch_size=2, reduced=views).epoch(0)
    next(batches)
    batches.close()
