"""A CSV of photos: what is right is read whatever wrote it; what is wrong is said all at once, with its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data.odd_files import encoded, picture
from regraft.data.manifest import scan
from regraft.data.source import find_photos
from regraft.errors import PhotosError

JPEG = encoded(picture(), "JPEG")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b, c/1.jpg", "红 🌻.jpg", "cafe\u0301.jpg", "line\nbreak.jpg"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(JPEG)
    return photos


def table(root: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    path = root.parent / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def read(root: Path, text: str | bytes) -> list[tuple[str, str]]:
    return [(photo.name, photo.label) for photo in find_photos(root, table(root, text)).photos]


def complaint(root: Path, text: str | bytes) -> list[str]:
    with pytest.raises(PhotosError) as error:
        find_photos(root, table(root, text))
    lines = str(error.value).split("\n")
    assert all(line.startswith("  ") for line in lines[1:])
    return lines


EXPECTED = [("a/1.jpg", "rose"), ("b/1.jpg", "tulip")]


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na/1.jpg,rose\nb/1.jpg,tulip\n",
        "path,label\r\na/1.jpg,rose\r\nb/1.jpg,tulip",
        "\ufeffpath,label\na/1.jpg,rose\nb/1.jpg,tulip\n",
        "path;label\na/1.jpg;rose\nb/1.jpg;tulip\n",
        "path\tlabel\na/1.jpg\trose\nb/1.jpg\ttulip\n",
        " Path , LABEL \n a/1.jpg , rose \n\n,\nb/1.jpg,tulip\n\n",
        "label,path\nrose,a/1.jpg\ntulip,b/1.jpg\n",
        '"path","label"\n"a/1.jpg","rose"\n"b/1.jpg","tulip"\n',
        "path,label\na\\1.jpg,rose\nb\\1.jpg,tulip\n",
        "path,label\n./a/../a/1.jpg,rose\nb//1.jpg,tulip\n",
        "path,label\nphotos/a/1.jpg,rose\nphotos/b/1.jpg,tulip\n",
        "path,label\na/1.jpg,rose\nb/1.jpg,tulip\na/1.jpg,rose\n",
        "path,label\na/1.jpg,rose\nb/1.jpg,tulip\n".encode("utf-16"),
    ],
)
def test_whatever_wrote_it(root: Path, text: str | bytes) -> None:
    assert read(root, text) == EXPECTED


def test_odd_names_and_labels(root: Path) -> None:
    text = (
        'path,label\n"b, c/1.jpg","a ""b"", c"\n红 🌻.jpg,../../x\ncaf\u00e9.jpg,[red]\n'
        '"line\nbreak.jpg","two\nlines"\na/1.jpg,007\n'
    )
    assert read(root, text) == [
        ("a/1.jpg", "007"),
        ("b, c/1.jpg", 'a "b", c'),
        ("cafe\u0301.jpg", "[red]"),
        ("line\nbreak.jpg", "two\nlines"),
        ("红 🌻.jpg", "../../x"),
    ]


def test_splits_and_groups(root: Path) -> None:
    source = find_photos(
        root,
        table(root, "path,label,split,group,fold\na/1.jpg,x,Train,g,1\na/2.jpg,x,VAL,,2\nb/1.jpg,y,train,g,3\n"),
    )
    assert [(p.name, p.split, p.group) for p in source.photos] == [
        ("a/1.jpg", "train", "g"),
        ("a/2.jpg", "validation", None),
        ("b/1.jpg", "train", "g"),
    ]
    assert (source.layout, source.given_sides) == ("csv", {"train", "validation"})
    assert source.notes == ("labels.csv: column 'fold' is not used",)


def test_an_empty_split_column_gives_no_split(root: Path) -> None:
    source = find_photos(root, table(root, "path,label,split\na/1.jpg,x,\nb/1.jpg,y,\n"))
    assert source.given_sides == frozenset()


def test_paths_outside_are_read_and_their_names_are_tidy(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "x.jpg").write_bytes(JPEG)
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "y.jpg").write_bytes(JPEG)
    path = tmp_path / "csv" / "labels.csv"
    path.write_text(f"path,label\n../elsewhere/x.jpg,a\n{root}/a/1.jpg,b\n{root}/../csv/y.jpg,c\n")
    source = find_photos(root, path)
    names = {photo.label: photo.name for photo in source.photos}
    assert names["b"] == "a/1.jpg"
    assert names["c"] == "y.jpg"
    assert names["a"] == Path(outside / "x.jpg").relative_to(Path(outside).anchor).as_posix()
    assert ".." not in Path(names["a"]).parts
    assert [entry.status for entry in scan(source, workers=1).entries] == ["ok"] * 3


def test_names_stay_apart(root: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(JPEG)
    source = find_photos(root, table(root, "path,label\na/1.jpg,x\n../a/1.jpg,y\n"))
    assert sorted(photo.name for photo in source.photos) == ["a/1.jpg", "a/1.jpg (2)"]
    assert len({photo.path.resolve() for photo in source.photos}) == 2


def test_rows_that_are_no_photos_are_put_aside(root: Path) -> None:
    (root / "notes.jpg").write_text("text")
    source = find_photos(root, table(root, "path,label\na/1.jpg,x\nnotes.jpg,x\nb/1.jpg,y\n"))
    assert [entry.status for entry in scan(source, workers=1).entries] == ["ok", "ok", "put aside"]


def test_wrong_columns(root: Path) -> None:
    line, step = complaint(root, "when,label\nx,y\n")
    assert line.endswith("labels.csv: line 1: no column 'path'; its columns are 'when', 'label'")
    assert step == "  --path-column NAME names the column with the file names"
    assert len(complaint(root, "pth,lable\nx,y\n")) == 5
    assert "did you mean 'lable'" in complaint(root, "path,lable,other\na/1.jpg,x,y\n")[0]
    assert "column 'label' appears 2 times" in complaint(root, "path,label,label\na/1.jpg,x,y\n")[0]
    assert "columns are none" in complaint(root, "")[1]


def test_wrong_rows_are_named_all_at_once(root: Path) -> None:
    lines = complaint(
        root,
        "path,label,split\n"
        "a/1.jpg,x,train\n"
        "a/2.jpg,x\n"
        "\n"
        "gone.jpg,x,train\n"
        ",x,train\n"
        "b/1.jpg,,tain\n"
        "a/1.jpg,y,train\n"
        "a,x,train\n"
        "b/1.jpg,x,\n",
    )
    assert lines[0].endswith("labels.csv: 7 problems")
    assert lines[1:] == [
        "  line 3: 2 fields instead of 3",
        "  line 5: no such file: gone.jpg",
        "  line 6: no path",
        "  line 7: no label; unknown split 'tain'; expected train, val, valid, validation, test; did you mean 'train'?",
        "  line 8: a/1.jpg is also in line 2, with different values",
        "  line 9: a is a folder",
        "  line 10: no split, though other rows have one",
        "  2 other rows are right; leave out those without a photo or a label: --skip-missing",
    ]


def test_many_wrong_rows_are_counted(root: Path) -> None:
    lines = complaint(root, "path,label\n" + "".join(f"gone{i}.jpg,x\n" for i in range(50)))
    assert lines[0].endswith(": 50 problems")
    assert len(lines) == 23
    assert lines[-2:] == ["  … and 30 more", "  expected   paths relative to PHOTOS, or names of files in it"]


def test_lines_are_counted_across_quoted_line_breaks(root: Path) -> None:
    lines = complaint(root, 'path,label\n"line\nbreak.jpg",x\ngone.jpg,x\n')
    assert "line 4: no such file: gone.jpg" in lines[0]


def test_not_a_csv(root: Path, tmp_path: Path) -> None:
    assert "line 3 is not UTF-8 (byte 0xe9)" in complaint(root, b"path,label\na/1.jpg,rose\nb/1.jpg,\xe9\xe9\xe9\n")[0]
    assert "it is a ZIP archive, not a CSV" in complaint(root, b"PK\x03\x04" + bytes(range(256)))[0]
    assert "not a CSV" in complaint(root, b"\0" * 500)[0]
    with pytest.raises(PhotosError, match="no such file of labels"):
        find_photos(root, tmp_path / "gone.csv")
    with pytest.raises(PhotosError, match="cannot be read"):
        find_photos(root, tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.csv")
        with pytest.raises(PhotosError, match="a pipe"):
            find_photos(root, tmp_path / "pipe.csv")


def test_measurements_are_no_classes(root: Path) -> None:
    for i in range(12):
        (root / f"m{i}.png").write_bytes(encoded(picture((20, 20)), "PNG"))
    rows = "".join(f"m{i}.png,{20 + i}.{i}\n" for i in range(12))
    (note,) = [note for note in find_photos(root, table(root, f"path,label\n{rows}")).notes if "numbers" in note]
    assert "the labels are 12 different numbers, and each counts as a class" in note
    versions = "".join(f"m{i}.png,{i % 2}.5\n" for i in range(12))
    assert not any("numbers" in note for note in find_photos(root, table(root, f"path,label\n{versions}")).notes)


def test_nothing_to_tell_apart(root: Path) -> None:
    assert "lists no photos" in complaint(root, "path,label\n")[0]
    assert (
        "the table of labels names one class only: x (2 photos)"
        in complaint(root, "path,label\na/1.jpg,x\nb/1.jpg,x\n")[0]
    )


def test_labels_in_one_spelling(root: Path) -> None:
    source = find_photos(root, table(root, "path,label\na/1.jpg,cafe\u0301\na/2.jpg,caf\u00e9\nb/1.jpg,tea\n"))
    assert source.classes == ("cafe\u0301", "tea")
    assert [photo.label for photo in source.photos] == ["cafe\u0301", "cafe\u0301", "tea"]


def test_the_splits_of_the_benchmark(photos_root: Path) -> None:
    splits = photos_root.parent / "splits" / "flowers5.csv"
    if not splits.exists():
        pytest.skip(f"no {splits}")
    source = find_photos(photos_root / "flowers5", splits)
    assert len(source.photos) == 4317
    assert source.photos == find_photos(photos_root / "flowers5").photos
