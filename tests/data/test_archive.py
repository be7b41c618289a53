"""Archives of photos are read in place; their names are data, and bombs are refused."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from data.labeled import JPEG, folder_of, labels_of, photo, state_of, tar_of, zip_of
from regraft.data.archives import archive
from regraft.data.decode import read_photo
from regraft.data.file_types import open_regular, read_regular
from regraft.data.manifest import scan
from regraft.data.selection import PhotoSelection
from regraft.data.source import find_photos, select_photos
from regraft.errors import DecodeError, PhotosError

NAMES = ("ant/1.jpg", "ant/2.jpg", "bee/1.jpg", "bee/größe 2.jpg")
MEMBERS = {name: photo(number) for number, name in enumerate(NAMES)}


def packed(folder, kind, members=MEMBERS, **more):
    path = folder / f"photos.{kind}"
    return zip_of(path, members) if kind == "zip" else tar_of(path, members, **more)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_is_read_like_the_folder_in_it(tmp_path, kind):
    path = packed(tmp_path, kind)
    before = state_of(tmp_path)
    source = find_photos(path)
    folder = find_photos(folder_of(tmp_path / "unpacked", NAMES))
    assert [(p.name, p.label) for p in source.photos] == [(p.name, p.label) for p in folder.photos]
    entries = scan(source, workers=2).entries
    assert [(e.content, e.status) for e in entries] == [(e.content, "ok") for e in scan(folder, workers=2).entries]
    assert read_photo(entries[0].path).size == read_photo(folder.photos[0].path).size
    assert state_of(tmp_path).items() >= before.items()
    assert sorted(os.listdir(tmp_path)) == [path.name, "unpacked"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_folder_that_only_wraps_the_classes_and_files_of_the_system(tmp_path, kind):
    wrapped = {f"./photos/{name}" if kind == "tar" else f"photos/{name}": data for name, data in MEMBERS.items()}
    extra = {"__MACOSX/photos/ant/._1.jpg": b"x", "photos/.DS_Store": b"x", "photos/read me.txt": b"text"}
    source = find_photos(packed(tmp_path, kind, {**wrapped, **extra}).rename(tmp_path / "download"))
    assert labels_of(source) == {f"photos/{name}": name[:3] for name in NAMES}
    assert dict(source.skipped)["photos/read me.txt"] == "not a photo: text"


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_out_are_left_out_and_named(tmp_path, kind):
    (tmp_path / "secret.jpg").write_bytes(JPEG)
    (tmp_path / "archive").mkdir()
    outside = ["../secret.jpg", "/etc/ant/1.jpg", "C:/ant/1.jpg", "ant/../../secret.jpg"]
    source = find_photos(packed(tmp_path / "archive", kind, {**MEMBERS, **dict.fromkeys(outside, JPEG)}))
    assert labels_of(source) == {name: name[:3] for name in NAMES}
    assert dict(source.skipped) == dict.fromkeys(outside, "its name leads out of the archive")
    assert any("lead out of the archive" in note for note in source.notes)
    with pytest.raises(OSError, match="no such file"):
        open_regular(tmp_path / "archive" / f"photos.{kind}" / "../secret.jpg")


def test_links_in_a_tar_stay_in_it(tmp_path):
    soft, hard = tarfile.SYMTYPE, tarfile.LNKTYPE
    links = {
        "bee/3.jpg": (soft, "../ant/2.jpg"), "bee/4.jpg": (hard, "ant/2.jpg"), "bee/5.jpg": (soft, "3.jpg"),
        "bee/x.jpg": (soft, "/etc/hostname"), "bee/y.jpg": (soft, "../../z.jpg"), "bee/loop.jpg": (soft, "loop.jpg"),
    }  # fmt: skip
    source = find_photos(packed(tmp_path, "tar", links=links))
    content = {e.name: e.content for e in scan(source, workers=1).usable}
    assert {content[f"bee/{n}.jpg"] for n in (3, 4, 5)} == {content["ant/2.jpg"]}
    assert dict(source.skipped) == dict.fromkeys(["bee/loop.jpg", "bee/x.jpg", "bee/y.jpg"], "a link in an archive")


def test_names_of_windows_and_of_macos_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        for name, system in ((r"ant\1.jpg", 0), ("bee/1.jpg", 3)):
            info = zipfile.ZipInfo("x")
            info.filename, info.orig_filename, info.create_system = name, name, system
            file.writestr(info, photo(system))
    assert labels_of(find_photos(tmp_path / "photos.zip")) == {"ant/1.jpg": "ant", "bee/1.jpg": "bee"}
    members = {"größe/1.jpg": photo(1), "bee/1.jpg": photo(2)}
    data = bytearray(zip_of(tmp_path / "mac.zip", members).read_bytes())
    for start, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # macOS writes UTF-8 without the flag for it
        place = data.find(start)
        while place >= 0:
            data[place + at + 1] &= 0xF7
            place = data.find(start, place + 1)
    (tmp_path / "mac.zip").write_bytes(data)
    assert find_photos(tmp_path / "mac.zip").classes == ("bee", "größe")


def test_several_threads_read_members(tmp_path):
    for kind in ("zip", "tar.gz"):
        path = packed(tmp_path, kind)
        wanted = {name: hashlib.sha256(data).hexdigest() for name, data in MEMBERS.items()}
        with ThreadPoolExecutor(4) as pool:
            read = list(pool.map(read_regular, [path / name for name in wanted] * 20))
        assert [hashlib.sha256(data).hexdigest() for data in read] == [*wanted.values()] * 20


def test_a_changed_archive_is_opened_again(tmp_path):
    path = packed(tmp_path, "zip")
    assert len(find_photos(path).photos) == 4
    zip_of(path, {"x/1.jpg": photo(8), "y/1.jpg": photo(9)})
    assert find_photos(path).classes == ("x", "y")


def test_a_damaged_member_is_a_photo_that_cannot_be_read(tmp_path):
    path = packed(tmp_path, "zip")
    data = bytearray(path.read_bytes())
    data[data.find(b"ant/1.jpg") + 60] ^= 0xFF
    path.write_bytes(data)
    entries = scan(find_photos(path), workers=1).entries
    assert [e.status for e in entries] == ["put aside", "ok", "ok", "ok"]
    assert "damaged in the archive" in entries[0].why
    with pytest.raises(DecodeError, match="damaged in the archive"):
        read_photo(entries[0].path)


def _encrypted(path):
    data = bytearray(zip_of(path, MEMBERS).read_bytes())
    place = data.find(b"PK\x01\x02")
    while place >= 0:
        data[place + 8] |= 1
        place = data.find(b"PK\x01\x02", place + 1)
    path.write_bytes(data)
    return path


def _bomb(path):
    return zip_of(path, {**MEMBERS, **{f"ant/{i}.bmp": bytes(30 << 20) for i in range(3)}})


def _hidden_bomb(path):
    return zip_of(path, {**MEMBERS, "ant/noise.bin": os.urandom(2 << 20), "ant/x.bmp": bytes(60 << 20)})


def _gzip_bomb(path):
    return tar_of(path.with_suffix(".tar.gz"), {"ant/1.bmp": bytes(80 << 20), **MEMBERS})


def _cut(path):
    path.write_bytes(zip_of(path, MEMBERS).read_bytes()[:-40])
    return path


def _cut_gzip(path):
    path = tar_of(path.with_suffix(".tar.gz"), MEMBERS)
    path.write_bytes(path.read_bytes()[:-60])
    return path


def _cut_tar(path):
    path = tar_of(path.with_suffix(".tar"), MEMBERS)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def _cut_between_members(path):
    path = tar_of(path.with_suffix(".tar"), MEMBERS)
    with tarfile.open(path) as tar:
        end = tar.getmembers()[-1].offset
    path.write_bytes(path.read_bytes()[:end])
    return path


def _damaged_zip(path):
    path.write_bytes(zip_of(path, MEMBERS).read_bytes().replace(b"PK\1\2", b"PK\1\7"))
    return path


def _not_tar(path):
    path.write_bytes(gzip.compress(b"text " * 500))
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_encrypted, "the archive is encrypted; unpack it with its password and name the folder"),
        (_bomb, "would become 9. MB or more, unlike photos; if you trust the archive, unpack it and name the folder"),
        (_hidden_bomb, "would become 63 MB or more, unlike photos"),
        (_gzip_bomb, "would become 5. MB or more, unlike photos"),
        (_cut, r"the archive is incomplete: its end is missing \(.*\); download or copy it again"),
        (_cut_gzip, r"the archive is incomplete: its end is missing \(.*\); download or copy it again"),
        (_cut_tar, "the archive is incomplete: .*; download or copy it again"),
        (_cut_between_members, "the archive is incomplete: it has no mark of its end, so photos may be missing"),
        (_damaged_zip, r"the archive is damaged \(.*\); download or copy it again"),
        (_not_tar, "the gzip file is not a tar archive"),
    ],
)
def test_an_archive_is_refused_in_one_line(tmp_path, monkeypatch, make, message):
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 50 << 20)
    with pytest.raises(PhotosError, match=message) as error:
        find_photos(make(tmp_path / "photos.zip"))
    assert "\n" not in str(error.value)


def test_archives_among_the_photos_are_named(tmp_path):
    inner = zip_of(tmp_path / "more.zip", MEMBERS).read_bytes()
    source = find_photos(zip_of(tmp_path / "photos.zip", {**MEMBERS, "late/more.zip": inner}))
    assert "late/more.zip is an archive among the photos: not read; unpack it to use them" in source.notes
    with pytest.raises(PhotosError, match=r"no photos\.\n(.*\n)*  late/more\.zip is an archive among the photos"):
        find_photos(zip_of(tmp_path / "only.zip", {"late/more.zip": inner}))
    folder_of(tmp_path / "folder", ())
    (tmp_path / "folder" / "more.zip").write_bytes(inner)
    with pytest.raises(PhotosError, match=r"\n  perhaps    regraft train .*folder/more\.zip"):
        find_photos(tmp_path / "folder")
    (tmp_path / "folder" / "more.zip").rename(tmp_path / "folder" / "arrays.npz")
    with pytest.raises(PhotosError, match=r"has no photos\.") as error:
        find_photos(tmp_path / "folder")
    assert "perhaps" not in str(error.value)
    for name in ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"):
        (tmp_path / "folder" / name).write_bytes(gzip.compress(b"\0\0\x08\3"))
    with pytest.raises(PhotosError, match=r"has no photos\.") as error:
        find_photos(tmp_path / "folder")
    assert "perhaps" not in str(error.value)
    for name in ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"):
        (tmp_path / "folder" / name).unlink()
    for name in ("ants.zip", "bees.zip"):
        (tmp_path / "folder" / name).write_bytes(inner)
    with pytest.raises(PhotosError, match="each archive is a class: unpack it into a folder of its own name"):
        find_photos(tmp_path / "folder")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_labels_of_photos_in_an_archive(tmp_path, kind):
    members = {"1.jpg": photo(1), "b/2.jpg": photo(2), "labels.csv": b"file,label\n1,x\nb/2.JPG,y\n"}
    path = packed(tmp_path, kind, members)
    (tmp_path / "1.jpg").write_bytes(photo(7))  # next to the archive, and not meant
    source = select_photos(PhotoSelection(path, labels=path / "labels.csv"))
    assert [(p.path, p.label) for p in source.photos] == [(path / "1.jpg", "x"), (path / "b/2.jpg", "y")]


def test_other_files_are_no_archives(tmp_path):
    (tmp_path / "photos.rar").write_bytes(b"Rar!\x1a\x07" + bytes(600))
    with pytest.raises(
        PhotosError, match=r"is a file, not a folder of photos\n  expected   a zip or tar archive, or the"
    ):
        find_photos(tmp_path / "photos.rar")
    with pytest.raises(PhotosError, match=r"no such archive: .*gone\.zip$"):
        find_photos(tmp_path / "gone.zip")
    with pytest.raises(PhotosError, match="is empty: there are no photos"):
        find_photos(zip_of(tmp_path / "empty.zip", {}))
