"""The table of photo stats reads like a list of them; the store computes and caches them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from audit.conftest import features_of, save, scene, with_stats
from regraft.audit.duplicates import detect_duplicates
from regraft.audit.photo_stats import PhotoStats
from regraft.audit.photo_stats_store import GraySubset, PhotoStatsStore, PhotoStatsTable
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing
from regraft.disk import row_table
from regraft.features.stores.store import MemoryStore

P = Preprocessing(64, 64, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 1.0, "center")


@pytest.fixture
def photos(tmp_path):
    for i in range(12):
        save(scene(i), tmp_path / "photos" / f"{i % 2}" / f"{i:02}.png")
    save(scene(3).crop((10, 8, 232, 170)), tmp_path / "photos" / "0" / "part.jpg", quality=90)
    return tmp_path / "photos"


def test_a_table_reads_like_a_list(photos):
    _, _, photo_stats = with_stats(photos)
    packed = PhotoStatsTable.from_sequence(photo_stats)
    assert PhotoStatsTable.from_sequence(packed) is packed and len(packed) == len(photo_stats) == 13
    assert [g.pixel_hash for g in packed] == [g.pixel_hash for g in photo_stats] and packed[
        -1
    ].file_size == photo_stats[-1].file_size
    assert [g.width for g in packed[2:5]] == [g.width for g in photo_stats[2:5]]
    at = np.array([5, 0, 5])
    assert np.array_equal(packed.gray(at), np.stack([photo_stats[i].gray for i in at]))
    some = GraySubset(packed, np.array([4, 7, 1]))
    assert len(some) == 3 and np.array_equal(some[np.array([2])][0], photo_stats[1].gray)


def test_missing_stats_are_missing_and_never_invented(photos):
    _, entries, photo_stats = with_stats(photos)
    packed = PhotoStatsTable(2)
    packed.put(1, photo_stats[0].pack())
    packed.put(0, photo_stats[0].pack()[:-1])
    assert packed.missing == [0] and packed[1].pixel_hash == photo_stats[0].pixel_hash
    with pytest.raises(LookupError, match="photo 0 has no stats"):
        packed[0]
    entries[3].path.write_bytes(b"no photo any more")
    assert PhotoStatsStore(P, MemoryStore()).get(entries, workers=0).missing == [3]


def test_stats_are_written_in_batches_while_they_are_computed(photos, monkeypatch):
    from regraft.audit import photo_stats_store as module

    monkeypatch.setattr(module, "_WRITE_BATCH", 5)
    _, entries, _ = with_stats(photos)
    store = MemoryStore()
    looks = PhotoStatsStore(P, store)
    for entry in entries:
        looks.load(entry)
    assert len(store) == 10  # the other three wait
    assert not looks.get(entries, workers=0).missing and len(store) == 13


def test_copies_are_the_same_where_all_tables_are_files(photos, tmp_path, monkeypatch):
    _, entries, photo_stats = with_stats(photos)
    features = features_of(photo_stats)
    found = detect_duplicates(entries, features, photo_stats, workers=0)
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(row_table, "LARGE", 1)
    rows = row_table.new_table(*features.shape)
    rows[:] = features
    again = detect_duplicates(entries, rows, photo_stats, workers=0)
    assert len(found.near.pairs) == 1 and np.array_equal(found.near.pairs, again.near.pairs)
    assert np.array_equal(found.near.fit, again.near.fit) and found.groups == again.groups


@pytest.mark.slow
def test_memory_grows_by_little_more_than_names_with_the_number_of_photos(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    monkeypatch.setattr(row_table, "LARGE", 1)
    monkeypatch.setattr("regraft.audit.neighbours._SUM_BATCH", 256)
    monkeypatch.setattr("regraft.audit.neighbours._BLOCK", 256)

    def peak(n: int) -> int:
        draw = np.random.default_rng(0)
        rows, photo_stats = row_table.new_table(n, 1280), PhotoStatsTable(n)
        for i in range(n):
            rows[i] = draw.standard_normal(1280, dtype=np.float32)
            gray = draw.integers(0, 256, (64, 64), dtype=np.uint8)
            head = (1, 64, 64, "JPEG", "RGB", 1, False, 0.0, (1.0, 1.0, 1.0), draw.bytes(16))
            photo_stats.put(i, PhotoStats(*head, gray).pack())
        entries = [Entry(f"{i}.jpg", Path(f"photos/{i}.jpg"), f"{i:064x}", "a") for i in range(n)]
        tracemalloc.start()
        try:
            assert not detect_duplicates(entries, rows, photo_stats, workers=0).groups
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(300)  # takes what is made once
    less, more = peak(1500), peak(3500)
    assert (more - less) / 2000 < 900  # bytes; the features and the stats of a photo take 9,300
