"""CSV files: any text survives, also in files that other programs read."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from regraft.disk.csv_file import csv_text, read_csv, write_csv

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["\r", 'a"b', "a,b", "a\r\nb"])
ROWS = st.lists(st.lists(TEXT, min_size=1, max_size=3), min_size=1, max_size=4)


@given(ROWS)
def test_the_standard_reader_reads_what_was_written(rows):
    assert list(csv.reader(io.StringIO(csv_text(rows), newline=""))) == rows


@given(ROWS)
def test_the_text_is_that_of_the_standard_writer_unless_it_has_a_carriage_return(rows):
    rows = [[cell.replace("\r", " ") for cell in row] for row in rows]
    standard = io.StringIO()
    csv.writer(standard, lineterminator="\n").writerows(rows)
    assert csv_text(rows) == standard.getvalue()


def test_values_become_text():
    assert csv_text([("x", None, 1.5, 3, True)]) == "x,,1.5,3,True\n"


def test_names_that_are_not_utf_8_survive(tmp_path):
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    write_csv(tmp_path / "photos.csv", [("path", "label"), (name, "a\rb")])
    assert b"caf\xe9.jpg" in (tmp_path / "photos.csv").read_bytes()
    assert read_csv(tmp_path / "photos.csv") == [{"path": name, "label": "a\rb"}]
