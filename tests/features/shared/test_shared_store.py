"""The shared store: many writers and readers of immutable files; damage is a miss."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra scale is not installed")

from regraft.errors import ConfigError
from regraft.features.stores.disk_store import DiskStore
from regraft.features.stores.open_store import VARIABLE, local_store, open_store
from regraft.features.stores.shared.arrow_file import EntryFile, Row, encoded, name_of
from regraft.features.stores.shared.compaction import compact, verify
from regraft.features.stores.shared.places import FolderPlace, RemotePlace, place_at
from regraft.features.stores.shared.shared_store import SharedStore
from regraft.features.stores.store import pack
from store_damage import key_of, numbers_of, right, some


def shared(folder, warn=None) -> SharedStore:
    return SharedStore(FolderPlace(folder), warn=warn)


def flip(file, where, bit=1):
    data = bytearray(file.read_bytes())
    data[where] ^= bit
    file.write_bytes(bytes(data))


def test_arrays_of_any_shape_return_with_their_bits_and_cannot_be_written_to(tmp_path):
    arrays = [
        np.arange(6, dtype=np.float16).reshape(1, 2, 3),
        np.zeros((2, 2), np.uint8),
        numbers_of(3),
        numbers_of(4)[:0],
    ]
    items = [(key_of(i), array) for i, array in enumerate(arrays)]
    store = shared(tmp_path / "new" / "store")
    store.put_many(items, "kind")
    found = dict(store.get_many([key for key, _ in items]))
    for i, array in enumerate(arrays):
        assert found[i].dtype == array.dtype and found[i].shape == array.shape and found[i].tobytes() == array.tobytes()
        assert not found[i].flags.writeable
    assert store.get(key_of(99)) is None and store.missing([key_of(2), key_of(99), key_of(0)]) == [1]


def test_a_store_that_does_not_exist_is_empty_and_reading_does_not_create_it(tmp_path):
    store = shared(tmp_path / "none")
    assert store.get(key_of(1)) is None and store.missing([key_of(1)]) == [0] and store.size() == 0
    assert not (tmp_path / "none").exists()


def test_another_process_sees_new_files_and_two_writers_of_a_photo_are_one_entry(tmp_path):
    one, other = shared(tmp_path), shared(tmp_path)
    one.put_many(some(range(20)))
    assert right(other, range(30)) == 20
    other.put_many(some(range(10, 30)))
    assert right(one, range(30)) == 30
    assert len(list(one.get_many([key_of(15)]))) == 1
    assert verify(one.place).sound == 40
    result = compact(one.place)
    assert (result.files_before, result.files_after, result.duplicates, result.damaged) == (2, 1, 10, 0)
    assert verify(one.place).sound == 30 and right(one, range(30)) == right(other, range(30)) == 30


def test_the_same_entries_are_the_same_file_in_any_order(tmp_path):
    shared(tmp_path).put_many(some(range(8)), "kind")
    shared(tmp_path).put_many(some(reversed(range(8))), "kind")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("part", ["entry", "key", "last bytes", "cut", "empty"])
def test_damage_is_a_miss_and_an_intact_copy_of_the_entry_is_used(tmp_path, part):
    store = shared(tmp_path)
    store.put_many(some(range(40)))
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    if part in ("cut", "empty"):
        file.write_bytes(data[: len(data) // 2] if part == "cut" else b"")
    else:
        places = {"entry": data.index(numbers_of(7).tobytes()), "key": data.index(bytes.fromhex(key_of(7)))}
        flip(file, {**places, "last bytes": len(data) - 3}[part])
    reader = shared(tmp_path)
    assert right(reader, range(40)) == (39 if part in ("entry", "key") else 0)
    assert reader.get(key_of(7)) is None
    reader.put_many(some(range(5, 10)))
    assert right(reader, range(5, 10)) == 5
    result = compact(reader.place)
    assert result.damaged >= 1 and verify(reader.place).damaged == 0
    assert right(shared(tmp_path), range(5, 10)) == 5


def test_no_flipped_bit_of_a_file_gives_wrong_numbers_or_ends_the_process(tmp_path):
    rows = sorted(
        Row(bytes.fromhex(key_of(i)), "kind", pack(bytes.fromhex(key_of(i)), numbers_of(i, 8))) for i in range(6)
    )
    data, draw = encoded(rows), np.random.default_rng(0)
    file = tmp_path / name_of(data)
    store = shared(tmp_path)
    for _ in range(400):
        changed = bytearray(data)
        changed[draw.integers(len(data))] ^= 1 << draw.integers(8)
        file.write_bytes(bytes(changed))
        fresh = shared(tmp_path)
        for position, numbers in fresh.get_many([key_of(i) for i in range(6)]):
            assert numbers.tobytes() == numbers_of(position, 8).tobytes()
    file.write_bytes(data)
    assert store.missing([key_of(i) for i in range(6)]) == []


def test_large_files_stay_as_they_are_and_their_entries_are_not_written_again(tmp_path, monkeypatch):
    store = shared(tmp_path)
    store.put_many(some(range(50)))
    (large,) = tmp_path.iterdir()
    monkeypatch.setattr("regraft.features.stores.shared.compaction.LARGE_BYTES", large.stat().st_size)
    store.put_many(some(range(45, 52)))
    store.put_many(some(range(52, 54)))
    result = compact(store.place)
    assert large.exists() and (result.files_after, result.duplicates, result.entries) == (2, 5, 4)
    assert right(shared(tmp_path), range(54)) == 54
    flip(large, large.read_bytes().index(numbers_of(47).tobytes()))
    store.put_many(some(range(46, 49)))
    compact(store.place)
    assert right(shared(tmp_path), range(54)) == 54


def test_files_are_written_in_groups_of_the_size_of_a_compacted_file(tmp_path, monkeypatch):
    store = shared(tmp_path)
    for i in range(12):
        store.put_many(some(range(10 * i, 10 * i + 15)))
    size = max(file.stat().st_size for file in tmp_path.iterdir())
    monkeypatch.setattr("regraft.features.stores.shared.compaction.TARGET_BYTES", 4 * size)
    monkeypatch.setattr("regraft.features.stores.shared.compaction.LARGE_BYTES", 2 * size)
    result = compact(store.place)
    assert result.files_after == 3 and result.duplicates == 55
    assert verify(store.place).sound == 125 and right(store, range(125)) == 125
    again = compact(store.place)
    assert again.files_before == again.files_after == 3


def test_a_reader_finds_entries_whose_file_is_compacted_while_it_reads(tmp_path, monkeypatch):
    reader, other = shared(tmp_path), shared(tmp_path)
    for i in range(3):
        other.put_many(some(range(10 * i, 10 * i + 10)))
    opened = FolderPlace.open
    compacted = threading.Event()

    def compact_first(place, name, *, keys_only=False):
        if not keys_only and not compacted.is_set():
            compacted.set()
            compact(other.place)
        return opened(place, name, keys_only=keys_only)

    monkeypatch.setattr(FolderPlace, "open", compact_first)
    assert right(reader, range(30)) == 30


def test_a_place_that_cannot_be_written_or_read_warns_once_and_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    said = []
    store = shared(tmp_path / "file" / "store", warn=said.append)
    store.put_many(some(range(3)))
    store.put_many(some(range(3)))
    assert store.get(key_of(0)) is None
    (warning,) = said
    assert "could not be written" in warning and str(tmp_path) in warning


def test_an_address_of_fsspec_is_read_through_the_local_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    address = f"memory://shared-{tmp_path.name}"
    place = place_at(address)
    assert isinstance(place, RemotePlace)
    store = SharedStore(place)
    store.put_many(some(range(10)))
    assert right(store, range(12)) == 10
    (copy,) = (tmp_path / "shared").rglob("*.arrow")
    flip(copy, 700)
    assert right(SharedStore(place_at(address)), range(10)) == 10
    store.put_many(some(range(5, 15)))
    assert compact(place).files_after == 1 and right(SharedStore(place_at(address)), range(15)) == 15


def test_an_error_of_a_package_of_fsspec_warns_once_and_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    said = []
    store = SharedStore(place_at(f"memory://broken-{tmp_path.name}"), warn=said.append)

    def refuse(*arguments, **options):
        raise RuntimeError("no credentials")

    for name in ("pipe_file", "ls"):
        monkeypatch.setattr(store.place._files, name, refuse)
    store.put_many(some(range(3)))
    assert store.get(key_of(0)) is None and store.size() == 0
    (warning,) = said
    assert warning.endswith("could not be written: RuntimeError: no credentials")


def test_local_copies_are_limited(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    place = RemotePlace(f"memory://limited-{tmp_path.name}", local_bytes=1)
    store = SharedStore(place)
    store.put_many(some(range(3)))
    store.put_many(some(range(3, 6)))
    assert right(store, range(6)) == 6
    assert len(list((tmp_path / "shared").rglob("*.arrow"))) == 1


def test_a_command_opens_the_store_of_its_option_or_of_the_environment(tmp_path, monkeypatch):
    assert open_store(str(tmp_path)).place.folder == tmp_path
    assert open_store(f"file://{tmp_path}").place.folder == tmp_path
    monkeypatch.setenv(VARIABLE, str(tmp_path / "b"))
    assert open_store().place.folder == tmp_path / "b"
    with pytest.raises(ConfigError, match="--store nothing://x: "):
        open_store("nothing://x")


def test_activations_stay_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    assert isinstance(local_store(shared(tmp_path / "shared")), DiskStore)
    own = DiskStore()
    assert local_store(own) is own


def test_the_kind_and_the_columns_can_be_read_by_other_programs(tmp_path):
    import pyarrow.ipc

    shared(tmp_path).put_many(some(range(3)), "network · engine")
    (file,) = tmp_path.iterdir()
    table = pyarrow.ipc.open_file(file).read_all()
    assert table.column_names == ["key", "kind", "entry"] and set(table["kind"].to_pylist()) == {"network · engine"}
    assert {key.hex() for key in table["key"].to_pylist()} == {key_of(i) for i in range(3)}
    assert EntryFile(file.read_bytes()).batches == 1
