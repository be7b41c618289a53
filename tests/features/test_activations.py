"""Activations at the cut point: each view of a photo is computed once, and is the same bits whenever it is needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from making import entries_of, make_photos
from regraft.data.loading.fixed_views import fixed_view_task, view_name
from regraft.data.loading.photo_task import load_plain
from regraft.data.loading.pixel_cache import PixelCache
from regraft.data.loading.reduced_views import ReducedViews
from regraft.data.manifest import Entry
from regraft.errors import DecodeError
from regraft.features.activations import ActivationBatches, Activations, view_in_epoch
from regraft.features.engines.engine import EagerEngine
from regraft.features.stores.store import FeatureKey, MemoryStore
from regraft.models.backbone import Backbone


class Counting(EagerEngine):
    """Counts the photos that go through the network."""

    photos = 0

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.photos += len(pixels)
        return super().run(pixels)


class Forgetful(MemoryStore):
    """Loses every other entry, as a store does that is bounded."""

    def put_many(self, items: Sequence[tuple[FeatureKey, np.ndarray]], kind: str = "") -> None:
        super().put_many(list(items)[::2], kind)


@pytest.fixture(scope="module")
def lower(tiny: Backbone) -> Backbone:
    return tiny.lower(len(tiny.blocks) - 2)


@pytest.fixture
def engine(lower: Backbone) -> Counting:
    return Counting(lower, batch_size=4)


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    make_photos(tmp_path / "photos", {"a": 6, "b": 5}, size=40)
    return entries_of(sorted((tmp_path / "photos").rglob("*.png")))


def labels(entries: Sequence[Entry]) -> list[int]:
    return [int(entry.label == "b") for entry in entries]


def epochs(activations: Activations, entries: list[Entry], views: int, n: int = 3) -> list[torch.Tensor]:
    batches = ActivationBatches(activations, entries, labels(entries), views=views, batch_size=4, shuffle=True)
    return [x for epoch in range(n) for x, _ in batches.epoch(epoch)]


def test_each_view_is_computed_once_and_one_photo_more_costs_one_pass_for_each_view(
    lower: Backbone, engine: Counting, entries: list[Entry]
) -> None:
    store = MemoryStore()
    activations = Activations(lower, engine, store)
    assert activations.missing(entries, range(3)) == 33
    assert activations.fill(entries[:-1], range(3)) == engine.photos == 30
    epochs(activations, entries[:-1], views=3)
    assert engine.photos == 30
    assert activations.missing(entries, range(3)) == 3
    assert activations.fill(entries, range(3)) == 3
    assert engine.photos == 33
    renamed = [dataclasses.replace(entry, name=f"other {entry.name}", label="c") for entry in entries]
    assert Activations(lower, engine, store).fill(renamed, range(3)) == 0


@pytest.mark.parametrize("store", [None, Forgetful()])
@pytest.mark.parametrize("half", [True, False])
def test_recomputing_everything_gives_the_same_bits(
    lower: Backbone, engine: Counting, entries: list[Entry], store: MemoryStore | None, half: bool
) -> None:
    kept = Activations(lower, engine, MemoryStore(), half=half)
    kept.fill(entries, range(3))
    again = Activations(lower, engine, store, half=half)
    for a, b in zip(epochs(kept, entries, 3), epochs(again, entries, 3), strict=True):
        assert torch.equal(a, b)


def test_rounding_is_that_of_half_precision_and_never_infinite(
    lower: Backbone, engine: Counting, entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [(entry, 0) for entry in entries]
    exact = Activations(lower, engine, None, half=False).batch(items)
    rounded = Activations(lower, engine, None).batch(items)
    assert np.array_equal(rounded, exact.astype(np.float16).astype(np.float32))
    assert not np.array_equal(rounded, exact)
    huge = np.full((4, 2), 1e9, dtype=np.float32) * [1, -1]
    monkeypatch.setattr(engine, "run", lambda pixels: huge[: len(pixels)])
    assert np.array_equal(np.unique(Activations(lower, engine, None).batch(items)), [-65504, 65504])


def test_an_epoch_can_be_entered_anywhere_and_has_the_labels_of_its_photos(
    lower: Backbone, engine: Counting, entries: list[Entry]
) -> None:
    activations = Activations(lower, engine, MemoryStore())
    batches = ActivationBatches(activations, entries, range(len(entries)), views=2, batch_size=4, shuffle=True, seed=5)
    assert len(batches) == 3
    whole = list(batches.epoch(1))
    for (a, y), (b, z) in zip(whole[1:], batches.epoch(1, start=1), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(y, z)
    assert sorted(torch.cat([y for _, y in whole]).tolist()) == list(range(len(entries)))
    assert torch.cat([y for _, y in batches.epoch(0)]).tolist() != torch.cat([y for _, y in whole]).tolist()
    for x, y in whole:
        expected = activations.batch([(entries[i], batches.view(entries[i], 1)) for i in y.tolist()])
        assert torch.equal(x, torch.from_numpy(expected))
        assert x.is_contiguous(memory_format=torch.channels_last)


def test_a_photo_goes_through_all_its_views_and_an_epoch_has_a_mixture(entries: list[Entry]) -> None:
    for entry in entries:
        assert sorted(view_in_epoch(entry.content, epoch, 4) for epoch in range(3, 7)) == [0, 1, 2, 3]
    assert len({view_in_epoch(entry.content, 0, 4) for entry in entries}) > 1
    assert all(view_in_epoch(entry.content, epoch, 1) == 0 for entry in entries for epoch in range(3))


def test_views_are_the_plain_photo_its_mirror_image_and_crops(lower: Backbone, entries: list[Entry]) -> None:
    p = lower.spec.preprocessing
    plain = load_plain(entries[0], p)
    views = [fixed_view_task(p, number)(entries[0]) for number in range(4)]
    assert np.array_equal(views[0], plain)
    assert np.array_equal(views[1], plain[:, ::-1])
    assert len({view.tobytes() for view in views}) == 4
    assert np.array_equal(fixed_view_task(p, 3)(entries[0]), views[3])
    assert len({view_name(number) for number in range(50)}) == 50


def test_a_photo_that_was_removed_is_named(lower: Backbone, engine: Counting, entries: list[Entry]) -> None:
    activations = Activations(lower, engine, MemoryStore())
    activations.fill(entries[:4], [0])
    entries[5].path.unlink()
    for work in (lambda: activations.fill(entries, [0]), lambda: activations.batch([(entries[5], 0)])):
        with pytest.raises(DecodeError, match=entries[5].name):
            work()
    assert len(activations.batch([(entries[0], 0)])) == 1


def test_views_of_reduced_photos_have_their_own_keys_and_evaluation_views_those_of_whole_photos(
    lower: Backbone, engine: Counting, entries: list[Entry], tmp_path: Path
) -> None:
    make_photos(tmp_path / "large", {"a": 3, "b": 3}, size=400)
    photos = entries_of(sorted((tmp_path / "large").rglob("*.png")))
    store = MemoryStore()
    whole = Activations(lower, engine, store, workers=0)
    whole.fill(photos, range(4))
    views = ReducedViews(PixelCache(lower.spec.preprocessing))
    reduced = Activations(lower, engine, store, workers=0, reduced=views)
    assert [reduced.missing(photos, [view]) for view in range(4)] == [0, 0, 6, 6]
    reduced.fill(photos, range(4))
    for view in range(4):
        items = [(entry, view) for entry in photos]
        assert np.array_equal(whole.batch(items), reduced.batch(items)) == (view < 2)
    again = Activations(lower, engine, None, workers=0, reduced=ReducedViews(PixelCache(lower.spec.preprocessing)))
    assert np.array_equal(again.batch([(photos[0], 2)]), reduced.batch([(photos[0], 2)]))
