"""What people have is found; what cannot be used is said in one clear line and a sketch of what was expected."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from data.odd_files import encoded, picture
from regraft.data.source import Source, find_photos
from regraft.errors import PhotosError

JPEG = encoded(picture(), "JPEG")


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(JPEG if path.suffix in {".jpg", ".JPG", ""} else b"some text\n")
    return root


def labels(source: Source) -> dict[str, str]:
    return {photo.name: photo.label for photo in source.photos}


def first_line(error: pytest.ExceptionInfo[PhotosError]) -> str:
    lines = str(error.value).split("\n")
    assert all(line.startswith("  ") for line in lines[1:]), lines
    return lines[0]


def test_a_folder_per_class(tmp_path: Path) -> None:
    make(tmp_path, "rose/1.jpg", "daisy/1.jpg", "daisy/2.jpg", "daisy/notes.txt", ".git/x.jpg", "read me.txt")
    source = find_photos(tmp_path)
    assert source.classes == ("daisy", "rose")
    assert labels(source) == {"daisy/1.jpg": "daisy", "daisy/2.jpg": "daisy", "rose/1.jpg": "rose"}
    assert [photo.path for photo in source.photos] == [tmp_path / photo.name for photo in source.photos]
    assert dict(source.skipped) == {
        ".git": "hidden",
        "daisy/notes.txt": "not a photo: text",
        "read me.txt": "not a photo: text",
    }
    assert (source.layout, source.given_sides) == ("classes", frozenset())


def test_nested_folders_are_told_apart_by_their_path(tmp_path: Path) -> None:
    make(tmp_path, "a/2024/x/1.jpg", "a/2025/x/1.jpg", "b/2024/x/1.jpg", "b/1.jpg")
    assert labels(find_photos(tmp_path)) == {
        "a/2024/x/1.jpg": "a",
        "a/2025/x/1.jpg": "a",
        "b/1.jpg": "b",
        "b/2024/x/1.jpg": "b",
    }


@pytest.mark.parametrize(
    ("train", "validation"), [("train", "val"), ("Train", "VALID"), ("train", "validation"), ("TRAIN", "test")]
)
def test_a_given_split(train: str, validation: str, tmp_path: Path) -> None:
    make(tmp_path, f"{train}/a/1.jpg", f"{train}/b/sub/1.jpg", f"{validation}/a/1.jpg", f"{validation}/b/2.jpg")
    source = find_photos(tmp_path)
    assert source.classes == ("a", "b")
    side = "test" if validation == "test" else "validation"
    assert {p.name: (p.label, p.split) for p in source.photos} == {
        f"{train}/a/1.jpg": ("a", "train"),
        f"{train}/b/sub/1.jpg": ("b", "train"),
        f"{validation}/a/1.jpg": ("a", side),
        f"{validation}/b/2.jpg": ("b", side),
    }
    assert source.given_sides == {"train", side}
    assert source.layout == "split"


def test_three_sides_and_what_lies_beside_them(tmp_path: Path) -> None:
    make(tmp_path, *(f"{side}/{c}/1.jpg" for side in ("train", "val", "test") for c in "ab"))
    make(tmp_path, "extra/a/9.jpg", "loose.jpg", "train/loose.jpg")
    source = find_photos(tmp_path)
    assert source.given_sides == {"train", "validation", "test"}
    assert len(source.photos) == 6
    assert dict(source.skipped) == {
        "extra/a/9.jpg": "next to the folders of the split",
        "loose.jpg": "not in a class folder",
        "train/loose.jpg": "not in a class folder",
    }
    assert source.notes == ("extra/ is next to test/ and train/ and val/: it is not used",)


def test_an_unlabelled_test_folder_beside_a_split_is_not_used(tmp_path: Path) -> None:
    make(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/b/1.jpg", "test/1.jpg", "test/2.jpg")
    source = find_photos(tmp_path)
    assert source.given_sides == {"train", "validation"}
    assert source.notes == ("test/ has 2 photos but no class folders: not used",)


def test_classes_may_be_called_as_sides_are(tmp_path: Path) -> None:
    make(tmp_path / "vehicles", "train/1.jpg", "bus/1.jpg")
    assert find_photos(tmp_path / "vehicles").classes == ("bus", "train")
    make(tmp_path / "nested", "train/steam/1.jpg", "train/diesel/1.jpg", "bus/red/1.jpg", "car/1.jpg")
    assert find_photos(tmp_path / "nested").classes == ("bus", "car", "train")
    make(tmp_path / "exam", "test/1.jpg", "train/1.jpg", "quiz/1.jpg")
    assert find_photos(tmp_path / "exam").classes == ("quiz", "test", "train")
    make(tmp_path / "inside", "train/train/1.jpg", "train/bus/1.jpg", "val/train/1.jpg", "val/bus/1.jpg")
    assert find_photos(tmp_path / "inside").classes == ("bus", "train")


def test_a_split_without_class_folders_is_not_two_classes(tmp_path: Path) -> None:
    make(tmp_path, "train/1.jpg", "test/1.jpg")
    with pytest.raises(
        PhotosError, match=r"test and .*train have photos but no class folders\.\n  expected   .*/train/d"
    ):
        find_photos(tmp_path)
    make(tmp_path, "train/a/1.jpg", "train/b/1.jpg")
    with pytest.raises(PhotosError, match="have photos but no class folders"):
        find_photos(tmp_path)


def test_spellings_that_look_alike_are_one_class(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    make(tmp_path, f"{composed}/1.jpg", f"{decomposed}/2.jpg", "tea/1.jpg")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system holds both spellings for one")
    source = find_photos(tmp_path)
    assert len(source.classes) == 2
    assert {unicodedata.normalize("NFC", name) for name in source.classes} == {composed, "tea"}
    assert Counter(photo.label for photo in source.photos)[decomposed] == 2
    assert source.notes == (f"class {decomposed} is spelled in two Unicode forms: treated as one class",)


def test_names_that_differ_in_case_are_kept_apart_and_said(tmp_path: Path) -> None:
    make(tmp_path, "Rose/1.jpg", "rose/2.jpg", "tulip/1.jpg")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system does not tell cases apart")
    source = find_photos(tmp_path)
    assert source.classes == ("Rose", "rose", "tulip")
    assert source.notes == ("classes 'Rose' and 'rose' differ only in case or spaces: treated as different classes",)


def test_labels_are_shown_as_written(tmp_path: Path) -> None:
    names = ["cafe\u0301", "红玫瑰", "🌻", " spaces ", "-n", "[red]", "x" * 200, "..∕..∕x", "%s", "a'b\"c", "Ａ"]
    if os.name == "posix":
        names += ["line\nbreak", "back\\slash"]
    if sys.platform.startswith("linux"):
        names += [os.fsdecode(b"\xff\xfe")]
    make(tmp_path, *(f"{name}/1.jpg" for name in names))
    source = find_photos(tmp_path)
    assert set(source.classes) == set(names)
    assert labels(source) == {f"{name}/1.jpg": name for name in names}


def test_links_are_followed(tmp_path: Path) -> None:
    make(tmp_path / "real", "a/1.jpg", "b/1.jpg")
    linked = tmp_path / "linked"
    (linked / "rose").mkdir(parents=True)
    (linked / "rose" / "one.jpg").symlink_to(tmp_path / "real" / "a" / "1.jpg")
    (linked / "tulip").symlink_to(tmp_path / "real" / "b")
    assert labels(find_photos(linked)) == {"rose/one.jpg": "rose", "tulip/1.jpg": "tulip"}
    (tmp_path / "root").symlink_to(linked)
    assert len(find_photos(tmp_path / "root").photos) == 2


def test_loops_of_links_end(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "b/1.jpg", "b/deep/2.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "way up").symlink_to("/")
    (tmp_path / "b" / "deep" / "self").symlink_to(".")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "whole").symlink_to(".")
    source = find_photos(tmp_path)
    assert len(source.photos) == 3
    assert {name for name, why in source.skipped if "read already" in why} == {
        "a/up",
        "a/way up",
        "b/deep/self",
        "whole",
    }


def test_folders_that_link_to_each_other_are_read_once_a_class(tmp_path: Path) -> None:
    names = [f"class {i}" for i in range(12)]
    make(tmp_path, *(f"{name}/1.jpg" for name in names))
    for name in names:
        for other in names:
            (tmp_path / name / f"to {other}").symlink_to(tmp_path / other)
    source = find_photos(tmp_path)  # 12! ways, followed blindly
    assert len(source.photos) == 12 * 12
    assert set(Counter(photo.label for photo in source.photos).values()) == {12}


def test_a_deep_folder(tmp_path: Path) -> None:
    make(tmp_path, "b/1.jpg", "a/1.jpg")
    folder = tmp_path / "a"
    try:
        for _ in range(1200):  # deeper than Python's stack
            folder = folder / "d"
            folder.mkdir()
        (folder / "1.jpg").write_bytes(JPEG)
        assert len(find_photos(tmp_path).photos) == 3
    except OSError:
        pytest.skip("this system has no paths so long")
    finally:  # pytest's own cleaning is not deep enough
        (folder / "1.jpg").unlink(missing_ok=True)
        while folder.name == "d":
            folder.rmdir()
            folder = folder.parent


def test_the_order_on_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, *(f"{c}/{i}.jpg" for c in "cab" for i in (3, 1, 2)))
    before = find_photos(tmp_path)
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: sorted(listed(folder), reverse=True))
    assert find_photos(tmp_path) == before


def test_no_such_folder(tmp_path: Path) -> None:
    make(tmp_path, "garden/a/1.jpg")
    with pytest.raises(PhotosError) as error:
        find_photos(tmp_path / "gardn")
    assert first_line(error) == f"no such folder: {tmp_path / 'gardn'}; did you mean 'garden'?"
    assert "/daisy/*.jpg" in str(error.value)
    with pytest.raises(PhotosError, match="no such folder"):
        find_photos("a\0b")
    with pytest.raises(PhotosError, match="no such folder"):
        find_photos(tmp_path / "x" / "y" / "z")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("labels.csv", "--labels"),
        ("photos.zip", "unpacking it"),
        ("one.jpg", "the folder that contains the class folders"),
        ("x", "/daisy/"),
    ],
)
def test_a_file_is_no_folder(name: str, instead: str, tmp_path: Path) -> None:
    make(tmp_path, name)
    with pytest.raises(PhotosError, match=instead) as error:
        find_photos(tmp_path / name)
    assert first_line(error) == f"{tmp_path / name} is a file, not a folder of photos"


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(PhotosError) as error:
        find_photos(tmp_path)
    assert first_line(error) == f"{tmp_path} is empty: there are no photos in it."
    (tmp_path / "rose").mkdir()
    with pytest.raises(PhotosError, match="is empty"):
        find_photos(tmp_path)
    make(tmp_path, "rose/notes.txt", "x.csv")
    with pytest.raises(PhotosError) as error:
        find_photos(tmp_path)
    assert first_line(error) == f"{tmp_path} has no photos."
    assert "rose/notes.txt: not a photo: text; and 1 more" in str(error.value)


def test_photos_without_class_folders(tmp_path: Path) -> None:
    photos = make(tmp_path / "photos", *(f"{i}.jpg" for i in range(214)), "empty/")
    with pytest.raises(PhotosError) as error:
        find_photos(photos)
    assert str(error.value) == (
        f"{photos} has 214 photos but no class folders.\n"
        f"  expected   {photos}/daisy/*.jpg  {photos}/rose/*.jpg …   (or --labels labels.csv with path,label)"
    )


def test_one_class(tmp_path: Path) -> None:
    make(tmp_path, "flowers/daisy/1.jpg", "flowers/rose/1.jpg", "loose.jpg")
    with pytest.raises(PhotosError) as error:
        find_photos(tmp_path)
    assert first_line(error) == (f"{tmp_path} has one class only: flowers (2 photos); at least two classes are needed.")
    assert f"perhaps    {tmp_path}/flowers   whose folders are daisy, rose" in str(error.value)
    assert find_photos(tmp_path / "flowers").classes == ("daisy", "rose")


def test_a_class_folder_without_photos_is_said(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "b/1.jpg", "c/", "d/notes.txt", "loose.jpg", ".hidden/")
    source = find_photos(tmp_path)
    assert source.classes == ("a", "b")
    assert source.notes == ("no photos in c, d: not a class", "1 photo outside the class folders: not used")


def test_a_root_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/1.jpg", "b/1.jpg", "c/1.jpg")
    listed = os.listdir

    def refuse(folder: Path) -> list[str]:
        if Path(folder).name in refused:
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    refused = {tmp_path.name}
    with pytest.raises(PhotosError) as error:
        find_photos(tmp_path)
    assert first_line(error) == f"{tmp_path}: cannot be read: permission denied"
    refused = {"b"}
    source = find_photos(tmp_path)
    assert source.classes == ("a", "c")
    assert ("b", "a folder that cannot be read: permission denied") in source.skipped
    assert source.notes == ("b is a folder that cannot be read: permission denied",)


def test_real_photos(photos_root: Path) -> None:
    source = find_photos(photos_root / "hymenoptera")
    assert source.classes == ("ants", "bees")
    assert source.given_sides == {"train", "validation"}
    assert len(source.photos) == 398
    assert find_photos(photos_root / "flowers5").classes == ("daisy", "dandelion", "rose", "sunflower", "tulip")
    with pytest.raises(PhotosError, match="photos but no class folders"):
        find_photos(photos_root / "flowers5" / "daisy")


def test_a_folder_of_other_things_is_not_searched_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regraft.data.source.MAX_OTHER_FILES", 5)
    make(tmp_path, *(f"notes/{k}/{n}.txt" for k in range(3) for n in range(4)), "a/1.jpg", "b/1.jpg")
    with pytest.raises(PhotosError, match=r"8 files so far are not photos[\s\S]*--folders classes"):
        find_photos(tmp_path)
    assert find_photos(tmp_path, folders="classes").classes == ("a", "b")
