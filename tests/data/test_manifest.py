"""The manifest holds every file's fate, survives a round trip, and says when too little is left."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.odd_files import encoded, picture
from regraft.data.manifest import COLUMNS, Entry, Manifest, check_usable, describe_skipped, scan
from regraft.data.photo import SIDES
from regraft.data.source import find_photos
from regraft.errors import PhotosError, RunFolderError

JPEG = encoded(picture(), "JPEG")


class CountingBar:
    done = 0

    def advance(self, n: int = 1) -> None:
        self.done += n

    def note(self, text: str) -> None:
        raise AssertionError(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(JPEG + name.encode())
    (root / "b" / "text.jpg").write_text("text")
    (root / "b" / "notes.txt").write_text("text")
    return root


def test_every_file_is_in_it(root: Path) -> None:
    bar = CountingBar()
    manifest = scan(find_photos(root), workers=2, bar=bar)
    assert [(e.name, e.label, e.status, e.why) for e in manifest.entries] == [
        ("a/1.jpg", "a", "ok", ""),
        ("a/2.jpg", "a", "ok", ""),
        ("b/1.jpg", "b", "ok", ""),
        ("b/notes.txt", "", "skipped", "not a photo: text"),
        ("b/text.jpg", "b", "put aside", "not a photo: text"),
    ]
    assert bar.done == 4
    assert manifest.classes == ("a", "b")
    for entry in manifest.usable:
        assert entry.content == hashlib.sha256(entry.path.read_bytes()).hexdigest()
    assert [e.name for e in manifest.usable] == ["a/1.jpg", "a/2.jpg", "b/1.jpg"]


@pytest.mark.parametrize("workers", [0, 1, 8])
def test_workers_change_nothing(root: Path, workers: int) -> None:
    assert scan(find_photos(root), workers=workers) == scan(find_photos(root), workers=2)


def test_a_file_larger_than_a_chunk_is_hashed_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regraft.data.manifest._CHUNK", 100)
    manifest = scan(find_photos(root), workers=2)
    assert len(manifest.usable) == 3
    for entry in manifest.usable:
        assert entry.path.stat().st_size > 100
        assert entry.content == hashlib.sha256(entry.path.read_bytes()).hexdigest()


def test_what_cannot_be_read_is_put_aside(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = find_photos(root)
    (root / "a" / "1.jpg").unlink()
    real = os.open

    def refuse(path: Path, *args: int) -> int:
        if Path(path).name == "2.jpg":
            raise PermissionError(13, "Permission denied")
        return real(path, *args)

    monkeypatch.setattr(os, "open", refuse)
    whys = {e.name: (e.status, e.why, e.content) for e in scan(source, workers=2).entries}
    assert whys["a/1.jpg"] == ("put aside", "cannot be read: no longer there", "")
    assert whys["a/2.jpg"] == ("put aside", "cannot be read: permission denied", "")


def test_skipped_files_are_counted_by_kind(root: Path) -> None:
    (root / "b" / "clip.mov").write_bytes(b"\0\0\0\x14ftypqt  ")
    for name in ("1.CR2", "2.nef"):
        (root / "a" / name).write_bytes(b"II*\0")
    assert describe_skipped(scan(find_photos(root), workers=1).entries) == [
        "1 video skipped",
        "2 camera raw files skipped: export them as JPEG to use them",
        "1 other file skipped",
    ]
    assert describe_skipped([]) == []


def test_setting_aside(root: Path) -> None:
    manifest = scan(find_photos(root), workers=2)
    entry = manifest.usable[0]
    entry.side = "train"
    manifest.set_aside(entry, "truncated after 61 %")
    assert (entry.status, entry.why, entry.side) == ("put aside", "truncated after 61 %", None)
    assert entry not in manifest.usable


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
names = st.one_of(text, st.binary(max_size=12).map(lambda b: b.replace(b"\0", b"").decode("utf-8", "surrogateescape")))
entries = st.builds(
    lambda name, label, side, group, status, why: Entry(
        name, Path("photos") / name, "f" * 64, label, side, group or None, status, why
    ),
    names,
    names,
    st.sampled_from([None, *SIDES]),
    text,
    st.sampled_from(["ok", "put aside", "skipped"]),
    text,
)


@settings(max_examples=60, deadline=None)  # each writes two files through to the disk; tests/disk has more texts
@given(st.lists(entries, max_size=8))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, some: list[Entry]) -> None:
    path = tmp_path_factory.getbasetemp() / "manifest.csv"
    Manifest(Path("photos"), (), some).write(path)
    again = Manifest.read(path, "photos")
    assert again.entries == some
    assert set(again.classes) == {e.label for e in some if e.status == "ok"}
    again.write(path.with_name("again.csv"))
    assert path.with_name("again.csv").read_bytes() == path.read_bytes()


def test_it_is_a_plain_csv(root: Path, tmp_path: Path) -> None:
    manifest = scan(find_photos(root), workers=2)
    manifest.usable[0].side = "train"
    manifest.write(tmp_path / "manifest.csv")
    lines = (tmp_path / "manifest.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "path,content,class,split,group,status,why" == ",".join(COLUMNS)
    assert lines[1] == f"a/1.jpg,{manifest.entries[0].content},a,train,,ok,"
    assert lines[4] == "b/notes.txt,,,,,skipped,not a photo: text"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("", "not a manifest"),
        ("path,label\n", "not a manifest: its first line must be path,content"),
        (",".join(COLUMNS) + "\na,b\n", "row 2: 2 fields instead of 7"),
        (
            ",".join(COLUMNS) + "\na,,x,,,fine,\nb,,x,tain,,ok,\n",
            r"2 problems\n  row 2: unknown status 'fine'.*\n  row 3: unknown split 'tain'",
        ),
    ],
)
def test_a_damaged_manifest(damage: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(damage)
    with pytest.raises(RunFolderError, match=said):
        Manifest.read(tmp_path / "manifest.csv")
    with pytest.raises(RunFolderError, match="cannot be read"):
        Manifest.read(tmp_path / "gone.csv")


def made(**counts: int) -> Manifest:
    photos = [Entry(f"{k}/{i}", Path(f"{k}/{i}"), "", k) for k, n in counts.items() for i in range(n)]
    return Manifest(Path("garden"), tuple(counts), photos)


def test_enough_is_left() -> None:
    assert check_usable(made(a=2, b=2)) == ()
    assert check_usable(made(a=2, b=1)) == (
        "class b has a single photo: it can be used for training but not for testing",
    )
    assert check_usable(made(a=1, b=1, c=2)) == (
        "2 classes have a single photo: it can be used for training but not for testing",
    )


def test_a_class_that_lost_its_photos_is_left_out() -> None:
    manifest = made(a=2, b=2, c=1)
    manifest.set_aside(manifest.entries[-1], "truncated")
    assert check_usable(manifest) == ("class c is left out: none of its photos can be read",)
    assert manifest.classes == ("a", "b")
    assert check_usable(manifest) == ()


def test_too_little_is_left() -> None:
    manifest = made(a=7, b=1)
    manifest.set_aside(manifest.entries[-1], "truncated after 61 %")
    with pytest.raises(PhotosError) as error:
        check_usable(manifest)
    assert str(error.value) == (
        "garden: only class 'a' has photos that can be read; at least two classes are needed\n"
        "  b/0: truncated after 61 %"
    )
    for entry in manifest.usable:
        manifest.set_aside(entry, "zero bytes")
    with pytest.raises(
        PhotosError, match=r"^garden: none of its 8 photos can be read:\n(  a/\d: zero bytes\n){5}  … and 3 more$"
    ):
        check_usable(manifest)


def test_everything_damaged(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.jpg").write_bytes(b"")
    with pytest.raises(PhotosError, match=r"none of its 2 photos can be read:\n  a/1.jpg: not a photo: an empty file"):
        check_usable(scan(find_photos(tmp_path), workers=2))


def test_real_photos(photos_root: Path) -> None:
    manifest = scan(find_photos(photos_root / "hymenoptera"), workers=2)
    assert len(manifest.usable) == 398
    assert check_usable(manifest) == ()
