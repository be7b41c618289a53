"""Text for the user: counts, figures, commands and aligned columns."""

from __future__ import annotations

import os

import pytest

from regraft.text import cell_width, command, counted, duration, file_size, interval, padded, percent, shortened_path


def test_counts_and_figures():
    assert [counted(n, "photo") for n in (0, 1, 1284)] == ["0 photos", "1 photo", "1,284 photos"]
    assert counted(2, "class", "classes") == "2 classes"
    assert (percent(None), percent(0.9074)) == ("–", "90.7 %")
    assert interval({"interval": [0.844, 0.946]}) == "84.4 – 94.6"
    assert interval({"interval": [None, 0.946]}) == interval({}) == ""


@pytest.mark.parametrize(
    ("size", "text"),
    [(12, "12 B"), (3_400, "3.4 kB"), (1_234_567, "1.2 MB"), (17_000_000, "17 MB"), (1_200_000_000, "1.2 GB")],
)
def test_sizes_of_files(size, text):
    assert file_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (7200, "2 h"), (200_000, "2 days")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.skipif(os.name == "nt", reason="Windows quotes in another way")
def test_a_command_can_be_pasted():
    assert command("regraft", "predict", "my run") == "regraft predict 'my run'"


def test_a_long_path_is_shortened_in_its_middle():
    assert shortened_path("photos/a.jpg", 20) == "photos/a.jpg"
    assert shortened_path("garden/roses/2026/IMG_0113.jpg", 20) == "garden…/IMG_0113.jpg"
    assert shortened_path("花园/玫瑰/玫瑰/玫瑰/一.jpg", 16) == "花园/…瑰/一.jpg"
    assert cell_width([shortened_path("花" * 40, 15)]) <= 15


def test_a_cell_that_is_too_wide_stays_whole():
    assert (padded("abc", 2), padded("a", 2), padded("a", 2, right=True)) == ("abc", "a ", " a")
