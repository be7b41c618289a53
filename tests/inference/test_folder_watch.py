"""Photos that arrive in a watched folder: complete, once each, whatever happens to their files."""

from __future__ import annotations

import os

import pytest
from PIL import Image

from regraft.inference.folder_watch import PATIENCE, FolderWatch


def photo(path, color="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), color).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    photo(tmp_path / "in" / "old.png")
    os.utime(tmp_path / "in" / "old.png", (1000, 1000))
    return tmp_path / "in"


def test_old_photos_come_at_once_and_new_ones_when_they_are_complete(folder):
    watch = FolderWatch([folder])
    assert watch.poll(0) == [folder / "old.png"]
    new = photo(folder / "deep" / "new.png")
    assert watch.poll(1) == [] and watch.poll(1.5) == []
    assert watch.poll(2) == [new]
    assert watch.poll(9) == []


def test_a_photo_is_complete_when_it_has_stopped_growing(folder):
    watch = FolderWatch([folder])
    watch.poll(0)
    whole = photo(folder.parent / "whole.png").read_bytes()
    new = folder / "new.png"
    new.write_bytes(b"")
    for second, length in enumerate((20, 40, len(whole)), start=1):
        assert watch.poll(second) == []
        new.write_bytes(whole[:length])
    assert watch.poll(5) == [] and watch.poll(6) == [new]


def test_a_renamed_photo_is_the_same_and_a_changed_one_is_new(folder):
    watch = FolderWatch([folder])
    watch.poll(0)
    (folder / "old.png").rename(folder / "renamed.png")
    assert [watch.poll(second) for second in (1, 2, 3)] == [[], [], []]
    photo(folder / "renamed.png", "blue")
    assert watch.poll(4) == [] and watch.poll(5) == [folder / "renamed.png"]


def test_a_file_with_the_name_of_an_incomplete_one_waits_for_its_name(folder):
    watch = FolderWatch([folder])
    watch.poll(0)
    whole = photo(folder.parent / "whole.png")
    whole.rename(folder / "new.png.part")
    (folder / ".hidden.png").write_bytes((folder / "old.png").read_bytes())
    assert watch.poll(1) == [] and watch.poll(2) == []
    (folder / "new.png.part").rename(folder / "new.png")
    assert watch.poll(3) == [] and watch.poll(4) == [folder / "new.png"]


def test_an_unreadable_photo_is_tried_once_more(folder):
    watch = FolderWatch([folder])
    (path,) = watch.poll(0)
    assert watch.postpone(path, 0)
    assert watch.poll(PATIENCE - 0.1) == []
    assert watch.poll(PATIENCE) == [path]
    assert not watch.postpone(path, PATIENCE)
    photo(path, "blue")
    watch.poll(PATIENCE + 1)
    assert watch.poll(PATIENCE + 2) == [path]
    assert watch.postpone(path, PATIENCE + 2)


def test_a_removed_photo_is_forgotten_and_a_folder_may_vanish(folder):
    watch = FolderWatch([folder])
    (path,) = watch.poll(0)
    data = path.read_bytes()
    path.unlink()
    folder.rmdir()
    assert watch.poll(1) == [] and not watch.postpone(path, 1)
    folder.mkdir()
    path.write_bytes(data)
    assert watch.poll(2) == [] and watch.poll(3) == [path]
