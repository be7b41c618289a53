"""The place of a folder in the lecture's picture, and the words for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from regraft.advice.folder_figures import FolderFigures
from regraft.advice.reasons import place_of, reason
from regraft.report.advice_screen import picture

FOLDER = FolderFigures(40, 2, 0.25, error_deviation=0.03, log_loss=0.6, lead=0.2, added=0.0, slope=0.1)


@pytest.mark.parametrize(
    ("photos", "lead", "size", "similarity", "way"),
    [
        (40, 0.2, "few", "alike", "probe"),
        (40, -0.1, "few", "unlike", "depth"),
        (2000, 0.2, "many", "alike", "all blocks"),
        (2000, -0.1, "many", "unlike", "all blocks"),
        (120, 0.02, "some", "in between", "depth"),
        (120, None, "some", "unknown", None),
    ],
)
def test_the_corners_are_those_of_the_lecture(photos, lead, size, similarity, way):
    place = place_of(replace(FOLDER, photos=photos, lead=lead))
    assert (place.size, place.similarity, place.lecture) == (size, similarity, way)


def test_the_reason_names_size_similarity_and_way():
    text = reason(replace(FOLDER, lead=-0.1), "depth")
    assert "few photos (20 a class)" in text and "unlike the photos of the pretraining" in text
    assert text.endswith("a linear classifier that also sees earlier layers")


def row_and_column(photos_a_class, lead):
    lines = [line for _, line in picture({"figures": {"photos_a_class": photos_a_class, "lead": lead}})]
    assert all(len(line) <= 71 for line in lines)
    (row,) = [k for k, line in enumerate(lines) if "◆" in line]
    return row, lines[row].index("◆")


def test_the_folder_stands_right_with_many_photos_and_below_if_they_are_unlike():
    few_alike, many_alike = row_and_column(5, 0.3), row_and_column(2000, 0.3)
    few_unlike, many_unlike = row_and_column(5, -0.3), row_and_column(2000, -0.3)
    assert few_alike[0] == many_alike[0] < few_unlike[0] == many_unlike[0]
    assert few_alike[1] == few_unlike[1] < 10 and many_alike[1] == many_unlike[1] > 50
    assert few_alike[0] < row_and_column(5, 0.03)[0] < few_unlike[0]
