"""Listing of folders: the reason of everything that is left out, and links in circles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regraft.data.folders.walk import (
    Skipped,
    folder_identity,
    list_folder,
    photos_below,
    unreadable_folder_notes,
    unreadable_reason,
)

PNG = b"\x89PNG\r\n\x1a\n"


def made(root: Path, *names: str, data: bytes = b"text") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def test_a_folder_is_listed_by_name_with_reasons_for_the_rest(tmp_path: Path) -> None:
    made(tmp_path, "b.JPG", "a.png", "notes.txt", ".hidden.jpg", "..odd.jpg", "Thumbs.db", "raw.CR2", "sub/x.jpg")
    made(tmp_path, "photo without extension", data=PNG)
    skipped: Skipped = []
    listing = list_folder(tmp_path, "top", skipped)
    assert [name for name, _ in listing.photos] == [
        "top/..odd.jpg",
        "top/a.png",
        "top/b.JPG",
        "top/photo without extension",
    ]
    assert listing.folders == [("top/sub", tmp_path / "sub")]
    assert dict(skipped) == {
        "top/.hidden.jpg": "hidden",
        "top/Thumbs.db": "a file of the system",
        "top/notes.txt": "not a photo: text",
        "top/raw.CR2": "a camera raw file: export it as JPEG",
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_broken_links_never_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nothing")
    skipped: Skipped = []
    listing = list_folder(tmp_path, "", skipped)
    assert [name for name, _ in listing.photos] == ["gone.jpg"]  # the scan reports it as a damaged photo
    assert dict(skipped) == {
        "pipe.jpg": "neither a file nor a folder",
        "gone.txt": "cannot be read: a link to nothing",
    }


def test_links_in_a_circle_end_and_photos_are_found_once(tmp_path: Path) -> None:
    made(tmp_path, "a/1.jpg", "a/deep/2.jpg")
    (tmp_path / "a" / "deep" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "root").symlink_to(tmp_path)
    assert folder_identity(tmp_path / "a" / "root") == folder_identity(tmp_path)
    skipped: Skipped = []
    photos = photos_below(tmp_path / "a", "a", frozenset({folder_identity(tmp_path)}), skipped)
    assert [name for name, _ in photos] == ["a/1.jpg", "a/deep/2.jpg"]
    reason = "a link to a folder that is read already"
    assert sorted(skipped) == [("a/deep/up", reason), ("a/root", reason)]


def test_unreadable_folders_are_noted(tmp_path: Path) -> None:
    reason = unreadable_reason(PermissionError(13, "Permission denied"), tmp_path)
    skipped = [("a", "hidden"), ("b", reason)]
    assert unreadable_folder_notes(skipped) == ["b is a folder that cannot be read: permission denied"]
