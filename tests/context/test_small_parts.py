"""Too few photos to choose or to measure with are named before a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from regraft.context.parts import Parts
from regraft.context.small_parts import small_part_notes, worthless_figure_note
from regraft.data.manifest import Entry

CLASSES = ("ash", "birch", "cedar")


def of(*counts):
    return [Entry("", Path(), "", name) for name, n in zip(CLASSES, counts, strict=True) for _ in range(n)]


def parts(validation, test):
    return Parts(of(30, 30, 30), validation, test, "test" if test else None, [])


@pytest.mark.parametrize("recipe", ["feature-extraction", "fine-tune"])
def test_few_photos_are_named_by_class(recipe):
    choose, measure = small_part_notes(parts(of(7, 2, 1), of(5, 0, 6)), CLASSES, recipe)
    assert choose.startswith(
        "10 validation photos (7/2/1 by class) will choose the epoch, too few to tell epochs apart"
    )
    assert measure.startswith("11 test photos (5/0/6 by class) will measure the result: ")
    assert measure.endswith(" about ± 30 points")


@pytest.mark.parametrize(
    ("validation", "test", "recipe"),
    [(of(7, 7, 7), of(20, 20, 20), "fine-tune"), (of(1, 1, 1), of(1, 1, 1), "auto"), ([], [], "fine-tune")],
)
def test_enough_photos_and_recipes_that_cross_validate_have_no_note(validation, test, recipe):
    assert small_part_notes(parts(validation, test), CLASSES, recipe) == []


@pytest.mark.parametrize(
    ("counts", "worthless"),
    [
        ((1, 1, 0), True),
        ((2, 1, 0), True),
        ((1, 1, 1), False),
        ((9, 1, 0), True),
        ((5, 5, 0), False),
        ((0, 0, 0), False),
    ],
)
def test_a_figure_that_cannot_beat_the_largest_class_is_said_before_training(counts, worthless):
    note = worthless_figure_note(of(*counts))
    assert bool(note) == worthless
    if worthless:
        assert f"{sum(counts)} photo" in note and "'ash'" in note and "will mean nothing" in note


def test_that_note_takes_the_place_of_the_interval():
    (note,) = small_part_notes(parts(of(7, 7, 7), of(2, 1, 0)), CLASSES, "fine-tune")
    assert "will mean nothing" in note
