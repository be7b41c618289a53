"""Text for the user: counts, figures, commands and aligned columns."""

from __future__ import annotations

import os

import pytest

from regraft.text import columns, command, counted, interval, megabytes, padded, percent


def test_counts_and_figures():
    assert [counted(n, "photo") for n in (0, 1, 1284)] == ["0 photos", "1 photo", "1,284 photos"]
    assert counted(2, "class", "classes") == "2 classes"
    assert (percent(None), percent(0.9074)) == ("–", "90.7 %")
    assert interval({"interval": [0.844, 0.946]}) == "84.4 – 94.6"
    assert interval({"interval": [None, 0.946]}) == interval({}) == ""


@pytest.mark.parametrize(("size", "text"), [(1_234_567, "1.2 MB"), (17_000_000, "17 MB")])
def test_sizes_of_files(tmp_path, size, text):
    file = tmp_path / "model"
    with file.open("wb") as sparse:
        sparse.truncate(size)
    assert megabytes(file) == text


@pytest.mark.skipif(os.name == "nt", reason="Windows quotes in another way")
def test_a_command_can_be_pasted():
    assert command("regraft", "predict", "my run") == "regraft predict 'my run'"


def test_columns_are_aligned_although_some_characters_are_wide():
    assert columns([["a", "1"], ["花", "22"]], right=[1]) == ["a    1", "花  22"]
    assert columns([["a\x1b", ""], ["b", "c"]]) == ["a\\x1b", "b      c"]
    assert columns([]) == []


def test_a_cell_that_is_too_wide_stays_whole():
    assert (padded("abc", 2), padded("a", 2), padded("a", 2, right=True)) == ("abc", "a ", " a")
