"""Copies sorted by class stay inside their folder and never write over anything, whatever a class is called."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.errors import StorageError, UserError
from regraft.inference.copy_list import NAME
from regraft.inference.folder_names import MAX_BYTES, folder_names
from regraft.inference.sorted_copies import SortedCopies

NASTY = [
    "../../x",
    "..",
    ".",
    "/etc/passwd",
    "C:\\Windows",
    "a/b",
    "a\\b",
    "CON",
    "con",
    "nul.txt",
    "COM1",
    "com¹",
    "LPT9.tar.gz",
    "rose.",
    "rose. .",
    " rose",
    "",
    " ",
    "\0",
    "a\0b",
    "a\nb",
    "\x1b[31mred",
    "x" * 200,
    "花" * 200,
    "👩‍🔬",
    "Rose",
    "rose",
    "ROSE",
    "é",
    "e\u0301",
    "ß",
    "ss",
    '*?<>|:"',
    "\udc80",
    "~",
    "-rf",
    ".hidden",
    "ﬁg",
    "fig",
    "a\u2028b",
]


def distinct_on_any_disk(names):
    seen = [unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold()) for name in names]
    return len(set(seen)) == len(seen)


def assert_safe(name: str) -> None:
    assert name and name not in {".", ".."} and len(name.encode()) <= MAX_BYTES
    assert not set(name) & set('<>:"/\\|?*')
    assert all(ord(c) >= 32 and ord(c) != 127 for c in name)
    assert name == name.strip() and not name.endswith(".") and not name.startswith(".")
    stem = name.partition(".")[0].casefold()
    assert stem not in {"con", "prn", "aux", "nul", "com1", "lpt9", "com¹"}


def test_every_nasty_class_gets_a_safe_folder_of_its_own():
    names = folder_names(NASTY)
    assert set(names) == set(NASTY)
    for name in names.values():
        assert_safe(name)
    assert distinct_on_any_disk(names.values())


@given(st.lists(st.text(max_size=90) | st.sampled_from(NASTY), unique=True, max_size=12))
def test_any_classes_get_safe_and_distinct_folders(classes):
    names = folder_names(classes)
    assert sorted(names) == sorted(classes)
    for name in names.values():
        assert_safe(name)
    assert distinct_on_any_disk(names.values())


def test_a_name_that_can_be_a_folder_is_kept():
    kept = ["daisy", "月季", "black rose", "👩‍🔬", "x" * 200, "[red]", "a.b"]
    assert folder_names(kept) == {name: name for name in kept}


def test_the_folder_of_a_class_does_not_depend_on_the_order_of_classes():
    assert folder_names(NASTY) == folder_names(NASTY[::-1])


def test_a_class_called_like_the_mark_of_another_does_not_merge_with_it():
    marked = folder_names(["Rose", "rose"])["rose"]
    names = folder_names(["Rose", "rose", marked])
    assert distinct_on_any_disk(names.values())


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"one")
    os.utime(path, ns=(10**18, 10**18))
    return path


def everything_below(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_no_class_leads_out_of_the_folder(tmp_path, photo):
    out = tmp_path / "deep" / "out"
    copies = SortedCopies(out, NASTY)
    placed = [copies.add(photo, label) for label in NASTY]
    assert len(everything_below(out)) == len(NASTY) == copies.copied
    assert all(path.resolve().is_relative_to(out.resolve()) for path in placed)
    assert {p.name for p in tmp_path.iterdir()} == {"deep", "photo.jpg"}


def test_what_is_there_is_never_overwritten_but_numbered(tmp_path, photo):
    (tmp_path / "out" / "rose").mkdir(parents=True)
    (tmp_path / "out" / "rose" / "photo.jpg").write_bytes(b"precious")
    copies = SortedCopies(tmp_path / "out", ["rose"])
    copies.add(photo, "rose")
    copies.add(photo, "rose")
    assert everything_below(tmp_path / "out") == {
        "rose/photo.jpg": b"precious",
        "rose/photo (2).jpg": b"one",
        "rose/photo (3).jpg": b"one",
    }


def test_a_numbered_name_still_fits_the_file_system(tmp_path):
    photo = tmp_path / ("花" * 83 + ".jpg")
    photo.write_bytes(b"one")
    copies = SortedCopies(tmp_path / "out", ["rose"])
    names = {copies.add(photo, "rose").name for _ in range(3)}
    assert len(names) == 3


def test_the_date_of_the_photo_is_kept(tmp_path, photo):
    placed = SortedCopies(tmp_path / "out", ["rose"]).add(photo, "rose")
    assert placed.stat().st_mtime_ns == 10**18


def test_links_inside_the_folder_are_not_followed(tmp_path, photo):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "rose").symlink_to(elsewhere)
    with pytest.raises(UserError, match="is a link, and copies stay inside"):
        SortedCopies(tmp_path / "out", ["rose"]).add(photo, "rose")
    (tmp_path / "out" / "daisy").mkdir()
    (tmp_path / "out" / "daisy" / "photo.jpg").symlink_to(elsewhere / "made.jpg")
    assert SortedCopies(tmp_path / "out", ["daisy"]).add(photo, "daisy").name == "photo (2).jpg"
    assert list(elsewhere.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path, photo):
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(UserError, match="is a file; copies need a folder"):
        SortedCopies(tmp_path / "out", ["rose"])
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "rose").write_bytes(b"")
    with pytest.raises(UserError, match="is a file where the folder of a class should be"):
        SortedCopies(tmp_path / "there", ["rose"]).add(photo, "rose")


def test_a_copy_that_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        SortedCopies(tmp_path / "out", ["rose"]).add(tmp_path / "gone.jpg", "rose")
    assert everything_below(tmp_path / "out") == {}


def sort(out, photos, label, *, doubt="", classes=("rose", "daisy")):
    """Copy ``photos`` as one call of the command does, and return what is there then."""
    copies = SortedCopies(out, classes)
    for photo in photos:
        copies.add(photo, label, doubt=doubt)
    copies.finish()
    return {name: data for name, data in everything_below(out).items() if name != NAME}


def test_repeating_replaces_and_does_not_double(tmp_path, photo):
    out = tmp_path / "out"
    other = tmp_path / "card" / "photo.jpg"
    other.parent.mkdir()
    other.write_bytes(b"two")
    expected = {"rose/photo.jpg": b"one", "rose/photo (2).jpg": b"two"}
    assert sort(out, [photo, other], "rose") == expected
    made = {path: path.stat().st_ino for path in out.rglob("*.jpg")}
    assert sort(out, [photo, other], "rose") == expected
    assert {path: path.stat().st_ino for path in out.rglob("*.jpg")} == made
    assert sort(out, [photo, other], "daisy") == {"daisy/photo.jpg": b"one", "daisy/photo (2).jpg": b"two"}
    assert sort(out, [photo], "daisy", doubt="unsure") == {
        "unsure/daisy/photo.jpg": b"one",
        "daisy/photo (2).jpg": b"two",
    }


def test_equal_photos_have_a_copy_each_and_keep_it(tmp_path, photo):
    twin = tmp_path / "card" / "photo.jpg"
    twin.parent.mkdir()
    twin.write_bytes(b"one")
    once = sort(tmp_path / "out", [photo, twin], "rose")
    assert once == {"rose/photo.jpg": b"one", "rose/photo (2).jpg": b"one"}
    assert sort(tmp_path / "out", [twin, photo], "rose") == once


def test_a_changed_photo_replaces_its_copy(tmp_path, photo):
    sort(tmp_path / "out", [photo], "rose")
    photo.write_bytes(b"edited")
    assert sort(tmp_path / "out", [photo], "rose") == {"rose/photo.jpg": b"edited"}


def test_a_copy_that_the_user_changed_stays(tmp_path, photo):
    sort(tmp_path / "out", [photo], "rose")
    (tmp_path / "out" / "rose" / "photo.jpg").write_bytes(b"retouched")
    assert sort(tmp_path / "out", [photo], "daisy") == {"rose/photo.jpg": b"retouched", "daisy/photo.jpg": b"one"}


def test_copies_are_recognized_without_their_list(tmp_path, photo):
    first = sort(tmp_path / "out", [photo], "rose")
    (tmp_path / "out" / NAME).unlink()
    assert sort(tmp_path / "out", [photo], "rose") == first


def test_a_list_cannot_name_a_file_outside(tmp_path, photo):
    out = tmp_path / "out"
    sort(out, [photo], "rose")
    precious = tmp_path / "precious.jpg"
    precious.write_bytes(b"one")
    os.utime(precious, ns=(10**18, 10**18))
    text = (out / NAME).read_text().replace("rose/photo.jpg", "../precious.jpg")
    (out / NAME).write_text(text)
    sort(out, [photo], "daisy")
    assert precious.read_bytes() == b"one"


def test_a_foreign_list_is_refused_and_stays(tmp_path, photo):
    out = tmp_path / "out"
    out.mkdir()
    (out / NAME).write_text("my,notes\n")
    with pytest.raises(UserError, match=r"copies\.csv is not a list of copies that regraft wrote"):
        SortedCopies(out, ["rose"])
    assert (out / NAME).read_text() == "my,notes\n"


def test_doubtful_photos_are_apart_and_a_class_keeps_its_name(tmp_path, photo):
    copies = SortedCopies(tmp_path / "out", ["rose", "Unsure"])
    assert copies.folders["Unsure"] == "Unsure"
    assert copies.add(photo, "Unsure").parent.name == "Unsure"
    placed = copies.add(photo, "rose", doubt="unsure")
    assert placed.relative_to(tmp_path / "out").as_posix() == "unsure-2/rose/photo.jpg"
    assert copies.add(photo, "rose", doubt="unlike").relative_to(tmp_path / "out").parts[:2] == ("unlike", "rose")
    assert copies.counts == {("Unsure", ""): 1, ("rose", "unsure"): 1, ("rose", "unlike"): 1}


def test_a_full_disk_names_the_photo_and_how_many_are_done(tmp_path, photo, monkeypatch):
    import errno
    import shutil

    other = tmp_path / "other.jpg"
    other.write_bytes(b"two")
    copies = SortedCopies(tmp_path / "out", ["rose"])
    copies.add(photo, "rose")

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(
        StorageError, match=r"other\.jpg could not be copied to .*No space left(.|\n)*1 photos are copied"
    ):
        copies.add(other, "rose")
    assert everything_below(tmp_path / "out") == {"rose/photo.jpg": b"one"}
