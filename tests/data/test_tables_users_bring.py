"""Tables of labels as people have them: any separator, encoding, header and way to name a photo."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from data.labeled import folder_of, labels_of, state_of
from regraft.data.selection import PhotoSelection
from regraft.data.source import find_photos, select_photos
from regraft.errors import MissingExtraError, PhotosError

FILES = ("0001.jpg", "0002.jpg", "000bec.JPG", "pic 4.jpeg")


def read(tmp_path: Path, text: str | bytes, files=FILES, encoding="utf-8", name="labels.csv", **options):
    root = folder_of(tmp_path / "photos", files)
    table = tmp_path / name
    table.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    before = state_of(tmp_path)
    try:
        return select_photos(PhotoSelection(root, labels=table, **options))
    finally:
        assert state_of(tmp_path) == before


AB = {"0001.jpg": "a", "0002.jpg": "b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,breed\n0001,a\n0002,b\n", AB),
        ("id,breed\n1,a\n2,b\n", AB),  # a spreadsheet has dropped the zeros
        ("id,breed\n1.0,a\n2.0,b\n", AB),
        ("id,breed\n000bec,a\npic 4,b\n", {"000bec.JPG": "a", "pic 4.jpeg": "b"}),
        ("file_name,label\n0001.JPG,a\n000bec.jpg,b\n", {"0001.jpg": "a", "000bec.JPG": "b"}),
        ("filename,class\npic 4.jpg,a\nphotos/0002.jpg,b\n", {"pic 4.jpeg": "a", "0002.jpg": "b"}),
        ("image,class\n0001.jpg,a\n0002.jpg,b\n", AB),
        ("Image Path;Species\n0001.jpg;a\n0002.jpg;b\n", AB),
        ("Datei;Art\n0001.jpg;a\n0002.jpg;b\n", AB),
        ("fichier;espèce\n0001.jpg;a\n0002.jpg;b\n", AB),
        ("archivo;categoría\n0001.jpg;a\n0002.jpg;b\n", AB),
        ("plik;gatunek\n0001.jpg;a\n0002.jpg;b\n", AB),
        ("файл;класс\n0001.jpg;a\n0002.jpg;b\n", AB),
        ("文件名,类别\n0001.jpg,a\n0002.jpg,b\n", AB),
        ("ファイル名,ラベル\n0001.jpg,a\n0002.jpg,b\n", AB),
        ("sep=;\nfile;label\n0001.jpg;a\n0002.jpg;b\n", AB),
        ("path|label\n0001.jpg|a\n0002.jpg|b\n", AB),
        ("path;label;;\n0001.jpg;a;;\n0002.jpg;b;;\n", AB),
        ('path, label\n0001.jpg, "a"\n0002.jpg, "b"\n', AB),
        (",path,label\n0,0001.jpg,a\n1,0002.jpg,b\n", AB),  # the index of a data frame
        ("id,image,species\n0,0001.jpg,a\n1,0002.jpg,b\n", AB),
        ("id,filename,species\n2,0001.jpg,a\n1,0002.jpg,b\n", AB),  # both columns name photos
        ("foo,bar\n0001.jpg,a\n0002.jpg,b\n", AB),
        ("0001.jpg,a\n0002.jpg,b\n", AB),
        ("a;0001.jpg\nb;0002.jpg\n", AB),
        ("0001.jpg a\npic 4.jpeg b\n", {"0001.jpg": "a", "pic 4.jpeg": "b"}),
        ("path,label\nC:\\Users\\me\\photos\\0001.jpg,a\nD:\\0002.jpg,b\n", AB),
        ("path,label\n/home/me/photos/0001.jpg,a\n\\\\server\\share\\0002.jpg,b\n", AB),
        ("image,a,b\n0001.jpg,1.0,0.0\n0002.jpg,0.0,1.0\n", AB),  # a column for each class
        ("image,class,species\n0001.jpg,a,x\n0002.jpg,b,y\n", AB),
        ("Survey 2024;;\n;;\nDatei;Art;Notiz\n0001.jpg;a;\n0002.jpg;b;\n", AB),  # a title
        ("# exported on Monday\npath,label\n0001.jpg,a\n0002.jpg,b\n", AB),
        ("path;label, as text\n0001.jpg;a\n0002.jpg;b\n", AB),
        ("path,label\n0001.jpg,none\n0002.jpg,n/a\n", {"0001.jpg": "none", "0002.jpg": "n/a"}),
    ],
)
def test_the_photos_and_labels_of_a_table(tmp_path, text, expected):
    assert labels_of(read(tmp_path, text)) == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32"])
def test_the_encodings_of_spreadsheets(tmp_path, encoding):
    source = read(tmp_path, "Datei\tArt\n0001.jpg\tGänseblümchen\n0002.jpg\tLöwenzahn – jung\n", encoding=encoding)
    assert labels_of(source) == {"0001.jpg": "Gänseblümchen", "0002.jpg": "Löwenzahn – jung"}
    assert any("read as Windows-1252, such as 'Gänseblümchen'" in note for note in source.notes) == (
        encoding == "cp1252"
    )


@pytest.mark.parametrize(
    ("labels", "encoding"),
    [
        (("кошка", "собака"), "cp1251"),
        (("猫", "狗"), "gbk"),
        (("犬", "ねこ"), "shift_jis"),
        (("żółw", "wąż"), "cp1250"),
    ],
)
def test_text_in_another_code_page_is_refused_and_not_garbled(tmp_path, labels, encoding):
    text = f"file,label\n0001.jpg,{labels[0]}\n0002.jpg,{labels[1]}\n"
    with pytest.raises(
        PhotosError, match=r"labels\.csv: line [23] is not UTF-8 \(byte 0x..\)\n  save it as 'CSV UTF-8'"
    ):
        read(tmp_path, text, encoding=encoding)


def test_a_name_alone_may_be_in_any_folder_if_it_is_the_only_one(tmp_path):
    files = ("train/0001.jpg", "train/x.jpg", "test/x.jpg", "test/0002.jpg")
    assert labels_of(read(tmp_path, "id,breed\n0001,a\n0002.jpg,b\n", files)) == {
        "train/0001.jpg": "a",
        "test/0002.jpg": "b",
    }
    with pytest.raises(PhotosError, match=r"line 2: x could be test/x\.jpg or train/x\.jpg"):
        read(tmp_path, "id,breed\nx,a\n0002.jpg,b\n", files)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("dogs/1.jpg", "no such file: dogs/1.jpg"),  # not cats/1.jpg
        ("../1.jpg", r"no such file: \.\./1\.jpg"),
        ("1.png", r"no such file: 1\.png"),
        (f"{'x' * 5000}.jpg", "no such file: xxx"),
        ("cats", "cats is a folder"),
    ],
)
def test_another_photo_is_never_taken_instead(tmp_path, row, why):
    with pytest.raises(PhotosError, match=f"line 2: {why}"):
        read(tmp_path, f"path,label\n{row},a\ncats/2.jpg,b\n", ("cats/1.jpg", "cats/2.jpg"))


def test_a_path_of_another_computer_is_found_by_its_end(tmp_path):
    files = ("Dogs/1.jpg", "cats/1.jpg", "1.jpg")
    text = "path,label\nC:\\x\\dogs\\1.jpg,d\n/old/cats/1.jpg,c\n"
    assert labels_of(read(tmp_path, text, files)) == {"Dogs/1.jpg": "d", "cats/1.jpg": "c"}


def test_columns_are_named_where_they_cannot_be_recognized(tmp_path):
    text = "n,where,what,species,breed\n5,0001.jpg,w,a,x\n6,0002.jpg,w,b,y\n"
    with pytest.raises(PhotosError, match=r"the labels could be in 'species' and 'breed'\n  --label-column NAME says"):
        read(tmp_path, text)
    chosen = read(tmp_path, text, path_column="WHERE", label_column="breed")
    assert labels_of(chosen) == {"0001.jpg": "x", "0002.jpg": "y"}
    assert "labels.csv: photos from the column 'where', labels from 'breed'" in chosen.notes
    with pytest.raises(PhotosError, match=r"no column 'bred' for --label-column; .*did you mean 'breed'"):
        read(tmp_path, text, label_column="bred")
    with pytest.raises(PhotosError, match=r"no column 'label'; its columns are 'p', 'q', 'r'\n  --label-column NAME"):
        read(tmp_path, "p,q,r\n0001.jpg,a,m\n0002.jpg,b,n\n")


def test_rows_without_a_photo_or_a_label_are_listed_together_and_can_be_skipped(tmp_path):
    text = "path,label\n0001.jpg,a\n0002.jpg,b\ngone.jpg,a\n000bec,\npic 4,NaN\n"
    with pytest.raises(PhotosError) as error:
        read(tmp_path, text)
    assert str(error.value).splitlines()[1:] == [
        "  line 4: no such file: gone.jpg",
        "  line 5: no label",
        "  line 6: no label",
        "  2 other rows are right; leave out those without a photo or a label: --skip-missing",
    ]
    source = read(tmp_path, text, skip_missing=True)
    assert labels_of(source) == AB
    listed = "line 4: no such file: gone.jpg; line 5: no label; line 6: no label"
    left_out = f"3 rows are left out (--skip-missing): {listed}"
    assert source.notes == (f"labels.csv: {left_out}",)
    with pytest.raises(PhotosError, match="expected   paths relative to PHOTOS"):
        read(tmp_path, "path,label\nx.jpg,a\ny.jpg,b\n", skip_missing=True)
    with pytest.raises(PhotosError, match=r"0001\.jpg is also in line 2, with different values"):
        read(tmp_path, "path,label\n0001.jpg,a\n0001,b\n0002.jpg,b\n", skip_missing=True)


def test_sides_in_words_of_other_programs(tmp_path):
    source = read(
        tmp_path, "image,class,subset\n0001.jpg,a,Training\n0002.jpg,b,TRAIN\n000bec,b,dev\npic 4,a,Testing\n"
    )
    assert {p.name: p.split for p in source.photos} == {
        "0001.jpg": "train", "0002.jpg": "train", "000bec.JPG": "validation", "pic 4.jpeg": "test",
    }  # fmt: skip
    assert read(tmp_path, "image,class,set\n0001.jpg,a,A\n0002.jpg,b,B\n").given_sides == frozenset()


def test_an_excel_file(tmp_path):
    root = folder_of(tmp_path / "photos", FILES)
    book = openpyxl.Workbook()
    for row in (["Datei", "Art", None], [1, "Weide", None], [None, None], ["0002.jpg", "Esche"], ["000bec", 7.0]):
        book.active.append(row)
    book.create_sheet("notes").append(["text"])
    book.save(tmp_path / "labels.xlsx")
    source = find_photos(root, tmp_path / "labels.xlsx")
    assert labels_of(source) == {"0001.jpg": "Weide", "0002.jpg": "Esche", "000bec.JPG": "7"}
    assert "labels.xlsx: the sheet 'Sheet' is read, not 'notes'" in source.notes


def test_excel_files_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(PhotosError, match=r"old format \.xls; save it as \.xlsx or as 'CSV UTF-8'"):
        read(tmp_path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), name="labels.xls")
    openpyxl.Workbook().save(tmp_path / "empty.xlsx")
    data = (tmp_path / "empty.xlsx").read_bytes()
    with pytest.raises(PhotosError, match="the Excel file has no content"):
        read(tmp_path, data, name="labels.xlsx")
    with pytest.raises(
        PhotosError, match=r"labels\.xlsx: the Excel file is damaged or cut off; download or copy it again"
    ):
        read(tmp_path, data[: len(data) // 2], name="labels.xlsx")
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'regraft\[excel\]'"):
        read(tmp_path, data, name="labels.xlsx")


def test_data_frames(tmp_path):
    root = folder_of(tmp_path / "photos", FILES)
    by_column = pd.DataFrame({"filename": ["0001.jpg", Path("0002.jpg")], "label": [1.0, 2.0]})
    assert labels_of(find_photos(root, by_column)) == {"0001.jpg": "1", "0002.jpg": "2"}
    by_index = pd.DataFrame({"label": ["a", "b"]}, index=["0001.jpg", "0002.jpg"])
    assert labels_of(find_photos(root, by_index)) == AB
    with pytest.raises(PhotosError, match="the data frame: line 3: no label"):
        find_photos(root, pd.DataFrame({"path": ["0001.jpg", "0002.jpg"], "label": ["a", float("nan")]}))
