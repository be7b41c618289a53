"""Cached pixels: a photo is decoded once, and only for a file that has not changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from making import entries_of, make_photos
from regraft.data.loading import pixel_cache
from regraft.data.loading.photo_task import load_plain
from regraft.data.loading.pixel_cache import PixelCache
from regraft.data.loading.reduced_photo import LoadReduced
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing
from regraft.features.stores.disk_store import DiskStore

P = Preprocessing(16, 16)
REDUCED = LoadReduced(21)


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    make_photos(tmp_path / "photos", {"a": 5, "b": 4}, size=40)
    return entries_of(sorted((tmp_path / "photos").rglob("*.png")))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskStore]:
    out = DiskStore(tmp_path / "pixels")
    yield out
    out.close()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photos that are decoded, in order."""
    names: list[str] = []
    run = pixel_cache.run_task

    def counted(task: Any, entry: Entry) -> np.ndarray:
        names.append(entry.name)
        return run(task, entry)

    monkeypatch.setattr(pixel_cache, "run_task", counted)
    return names


def texts(results: list[Any]) -> list[str]:
    return [result for result in results if isinstance(result, str)]


def equal(results: list[Any], expected: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(results, expected, strict=True))


def test_a_photo_is_decoded_once_for_all_epochs_and_later_runs(
    entries: list[Entry], store: DiskStore, decoded: list[str]
) -> None:
    first = PixelCache(P, store)
    reduced, plain = [REDUCED(e) for e in entries], [load_plain(e, P) for e in entries]
    assert equal(first.reduced(entries), reduced) and equal(first.evaluation(entries), plain)
    first.flush()
    assert len(decoded) == 2 * len(entries)
    for pixels in (first, PixelCache(P, DiskStore(store.folder))):
        assert equal(pixels.reduced(entries[::-1]), reduced[::-1]) and equal(pixels.evaluation(entries), plain)
    assert len(decoded) == 2 * len(entries)
    assert [(kind.name, kind.entries) for kind in store.kinds()] == [("decoded photos · 16 px", 18)]


def test_another_size_has_its_own_pixels(entries: list[Entry], store: DiskStore) -> None:
    small = PixelCache(P, store)
    small.reduced(entries)
    small.flush()
    (first, *_) = PixelCache(Preprocessing(24, 24), store).reduced(entries)
    assert isinstance(first, np.ndarray) and first.shape == (32, 32, 3)


@pytest.mark.parametrize("memory", [0, 10**6])
def test_files_much_smaller_than_their_pixels_are_cached_in_memory_within_its_bound(
    entries: list[Entry], store: DiskStore, decoded: list[str], monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    monkeypatch.setattr(pixel_cache, "MIN_FILE_SHARE", 1e6)
    pixels = PixelCache(P, store, memory=memory)
    for _ in range(2):
        assert not texts(pixels.reduced(entries))
        pixels.flush()
    assert not store.kinds()
    assert len(decoded) == len(entries) * (1 if memory else 2)


def test_photos_without_room_in_the_store_are_cached_in_memory(
    entries: list[Entry], store: DiskStore, decoded: list[str]
) -> None:
    pixels = PixelCache(P, store, store_share=0.5)
    expected = [REDUCED(e) for e in entries]
    for _ in range(2):
        assert equal(pixels.reduced(entries), expected)
        pixels.flush()
    assert len(decoded) == len(entries)
    placed = [e for e in entries if int(e.content[0], 16) < 8]
    assert 0 < len(placed) < len(entries)
    assert sum(kind.entries for kind in store.kinds()) == len(placed)


def test_a_damaged_entry_is_decoded_again(entries: list[Entry], store: DiskStore, decoded: list[str]) -> None:
    pixels = PixelCache(P, store)
    expected = [REDUCED(e) for e in entries]
    pixels.reduced(entries)
    pixels.flush()
    store.close()
    (file,) = store.folder.glob("*.sqlite")
    data = bytearray(file.read_bytes())
    at = bytes(data).index(expected[3].tobytes()[200:400])
    data[at] ^= 1
    file.write_bytes(data)
    assert equal(PixelCache(P, store).reduced(entries), expected)
    assert decoded == [e.name for e in entries] + [entries[3].name]


def replace(entry: Entry) -> None:
    data = bytearray(entry.path.read_bytes())
    data[-20] ^= 1
    stat = entry.path.stat()
    entry.path.write_bytes(data)
    os.utime(entry.path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


@pytest.mark.parametrize(
    ("change", "message"), [(replace, "changed since it was scanned"), (lambda e: e.path.unlink(), "no longer there")]
)
@pytest.mark.parametrize(("on_disk", "same_process"), [(True, True), (True, False), (False, True)])
def test_pixels_of_a_changed_file_are_not_used(
    entries: list[Entry],
    store: DiskStore,
    on_disk: bool,
    change: Callable[[Entry], None],
    message: str,
    same_process: bool,
) -> None:
    pixels = PixelCache(P, store if on_disk else None)
    pixels.reduced(entries)
    pixels.flush()
    change(entries[2])
    again = pixels if same_process else PixelCache(P, store)
    results = again.reduced(entries)
    assert len(texts(results)) == 1
    assert message in results[2]


def test_an_untouched_file_is_hashed_once_in_each_process(
    entries: list[Entry], store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = PixelCache(P, store)
    first.reduced(entries)
    first.flush()
    read: list[Path] = []
    monkeypatch.setattr(pixel_cache, "read_verified", lambda entry: read.append(entry.path))
    again = PixelCache(P, store)
    for _ in range(3):
        first.reduced(entries)
        again.reduced(entries)
    assert read == [entry.path for entry in entries]


def test_a_photo_that_cannot_be_decoded_has_a_reason(tmp_path: Path, store: DiskStore) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no photo at all")
    (reason,) = PixelCache(P, store).reduced(entries_of([tmp_path / "a.jpg"]))
    assert isinstance(reason, str) and reason.startswith("not a photo")


def test_without_a_usable_store_photos_are_cached_in_memory(
    entries: list[Entry], tmp_path: Path, decoded: list[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    warned: list[str] = []
    pixels = PixelCache(P, DiskStore(tmp_path / "file" / "pixels", warn=warned.append))
    for _ in range(2):
        assert equal(pixels.reduced(entries), [REDUCED(e) for e in entries])
        pixels.flush()
    assert len(warned) == 1 and warned[0].startswith("pixel cache ")
    assert len(decoded) == len(entries)


def test_photos_without_a_content_hash_are_decoded_each_time(
    entries: list[Entry], store: DiskStore, decoded: list[str]
) -> None:
    unhashed = entries_of([entry.path for entry in entries], hashed=False)
    pixels = PixelCache(P, store)
    for _ in range(2):
        assert equal(pixels.reduced(unhashed), [REDUCED(e) for e in entries])
    assert len(decoded) == 2 * len(entries)
