"""Features of photos: computed once, and the same bits whatever the order, the workers and the store."""

from __future__ import annotations

import random
import shutil

import numpy as np
import pytest

from making import entries_of, make_photos
from regraft.data.loading.photo_task import load_plain
from regraft.data.manifest import Entry
from regraft.features.engines.engine import EagerEngine
from regraft.features.extract import extract
from regraft.features.stores.store import MemoryStore, feature_key
from regraft.models.zoo import build_backbone


@pytest.fixture(scope="module")
def engine(tiny) -> EagerEngine:
    return EagerEngine(tiny, batch_size=4)


@pytest.fixture
def entries(tmp_path) -> list[Entry]:
    make_photos(tmp_path / "photos", {"a": 6, "b": 5}, size=40)
    return entries_of(sorted((tmp_path / "photos").rglob("*.png")))


class Counter:
    """A bar that counts."""

    def __init__(self) -> None:
        self.done = 0

    def advance(self, n: int = 1) -> None:
        self.done += n

    def note(self, text: str) -> None:
        pass


def test_the_bits_depend_on_the_photo_alone(entries, tiny, engine):
    expected = extract(entries, tiny, engine, workers=0)
    assert expected.values.shape == (11, tiny.spec.num_features)
    assert expected.rows.tolist() == list(range(11))
    assert (expected.computed, expected.from_store, expected.failed) == (11, 0, ())
    for seed, workers in enumerate((0, 1, 2, 5)):
        order = random.Random(seed).sample(range(11), 11)
        found = extract([entries[i] for i in order], tiny, engine, workers=workers)
        assert found.values.tobytes() == expected.values[order].tobytes()
    one = extract(entries[7:8], tiny, engine)
    assert one.values.tobytes() == expected.values[7:8].tobytes()


def test_what_the_store_has_is_not_computed_again(entries, tiny, engine):
    store, bar = MemoryStore(), Counter()
    first = extract(entries[:4], tiny, engine, store, bar=bar)
    assert (first.computed, first.from_store, len(store), bar.done) == (4, 0, 4, 4)
    second = extract(entries, tiny, engine, store, bar=bar)
    assert (second.computed, second.from_store, len(store), bar.done) == (7, 4, 11, 15)
    assert second.values.tobytes() == extract(entries, tiny, engine).values.tobytes()
    third = extract(entries[::-1], tiny, engine, store, load=lambda entry: pytest.fail("decoded again"), bar=bar)
    assert (third.computed, third.from_store, bar.done) == (0, 11, 26)
    assert third.values.tobytes() == second.values[::-1].tobytes()


def test_the_store_tells_views_weights_and_engines_apart(entries, tiny, engine):
    store = MemoryStore()
    extract(entries[:3], tiny, engine, store)
    assert extract(entries[:3], tiny, engine, store, view="flipped").computed == 3
    assert extract(entries[:3], tiny, EagerEngine(tiny, batch_size=2), store).computed == 3
    other = build_backbone("test_resnet", pretrained=False, size=32, seed=5)
    assert extract(entries[:3], other, EagerEngine(other, batch_size=4), store).computed == 3
    assert extract(entries[:3], tiny, engine, store).computed == 0
    assert len(store) == 12


def test_exact_copies_are_computed_once(entries, tiny, engine, tmp_path):
    copies = []
    for entry in entries[:3]:
        copy = tmp_path / f"copy of {entry.name}"
        shutil.copy(entry.path, copy)
        copies.append(copy)
    both, bar = [*entries, *entries_of(copies)], Counter()
    found = extract(both, tiny, engine, bar=bar)
    assert (found.computed, found.from_store, len(found.rows), bar.done) == (11, 3, 14, 14)
    assert found.values[11:].tobytes() == found.values[:3].tobytes()


def test_photos_that_cannot_be_decoded_are_told_and_left_out(entries, tiny, engine):
    entries[2].path.write_bytes(b"not a photo")
    entries[5].path.unlink()
    expected = extract([e for i, e in enumerate(entries) if i not in {2, 5}], tiny, engine)
    store, bar = MemoryStore(), Counter()
    found = extract(entries, tiny, engine, store, bar=bar)
    assert [position for position, _ in found.failed] == [2, 5]
    assert all(why for _, why in found.failed)
    assert found.rows.tolist() == [0, 1, 3, 4, 6, 7, 8, 9, 10]
    assert found.values.tobytes() == expected.values.tobytes()
    assert (found.computed, len(store), bar.done) == (9, 9, 11)


def test_a_copy_that_can_be_read_stands_in_for_none_that_cannot(entries, tiny, engine, tmp_path):
    shutil.copy(entries[0].path, tmp_path / "copy.png")
    twin = entries_of([tmp_path / "copy.png"])
    expected = extract(twin, tiny, engine)
    entries[0].path.unlink()
    bar = Counter()
    found = extract([entries[0], *twin, *twin], tiny, engine, bar=bar)
    assert [position for position, _ in found.failed] == [0]
    assert found.rows.tolist() == [1, 2]
    assert found.values.tobytes() == expected.values.tobytes() * 2
    assert (found.computed, found.from_store, bar.done) == (1, 1, 3)


def test_photos_without_a_content_hash_are_always_computed(entries, tiny, engine):
    unknown, store = entries_of([e.path for e in entries[:2]] * 2, hashed=False), MemoryStore()
    for _ in range(2):
        found = extract(unknown, tiny, engine, store)
        assert (found.computed, found.from_store, len(store)) == (4, 0, 0)


def test_no_photos_and_no_readable_photos(entries, tiny, engine, tmp_path):
    nothing = extract([], tiny, engine)
    assert nothing.values.shape == (0, tiny.spec.num_features)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"x")
    found = extract(entries_of([bad]), tiny, engine)
    assert found.values.shape == (0, tiny.spec.num_features)
    assert len(found.failed) == 1


def test_another_view_is_loaded_as_asked(entries, tiny, engine):
    p = tiny.spec.preprocessing
    found = extract(entries[:3], tiny, engine, load=lambda entry: load_plain(entry, p)[:, ::-1], view="mirrored")
    assert not np.array_equal(found.values, extract(entries[:3], tiny, engine).values)


def test_keys_change_with_every_part_and_nothing_runs_together():
    parts = ["c", "p", "v", "w", "k", "n"]
    keys = {feature_key(*parts)} | {feature_key(*parts[:i], parts[i] + "x", *parts[i + 1 :]) for i in range(6)}
    assert len(keys) == 7
    assert feature_key("ab", "c", "v", "w", "k", "n") != feature_key("a", "bc", "v", "w", "k", "n")
    assert all(len(key) == 64 for key in keys)


def test_what_the_store_keeps_is_its_own():
    store, features = MemoryStore(), np.arange(3, dtype=np.float32)
    store.put("k", features)
    features[0] = 9
    kept = store.get("k")
    assert kept is not None
    assert kept.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 1
    assert store.get("other") is None


def test_the_store_is_written_in_batches_and_also_when_interrupted(entries, tiny, engine):
    class Counting(MemoryStore):
        writes = 0

        def put_many(self, items, kind=""):
            self.writes += 1
            assert kind == "test_resnet · plain · eager fp32"
            super().put_many(items, kind)

    store = Counting()
    extract(entries, tiny, engine, store)
    assert store.writes == 1
    store = Counting()

    class Interrupted(Counter):
        def advance(self, n=1):
            super().advance(n)
            if self.done > 6:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(entries, tiny, engine, store, bar=Interrupted())
    assert len(store) >= 4
