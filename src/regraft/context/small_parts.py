"""Notes on parts of the photos that are too small, before a training in epochs chooses and measures with them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from regraft.context.option_values import RecipeName
from regraft.context.parts import Parts, RunParts
from regraft.data.manifest import Entry
from regraft.measure.intervals import wilson
from regraft.text import counted

MIN_TO_CHOOSE = 20
"""Minimum validation photos to tell epochs apart."""

MIN_TO_MEASURE = 50
"""Minimum test photos for an accuracy that is known to about 14 points."""

_EPOCH_RECIPES = ("feature-extraction", "fine-tune")
_FEW_CLASSES = 6


def part_notes(parts: RunParts, classes: Sequence[str], recipe: RecipeName) -> list[str]:
    """Return notes on parts of the photos that are too small for ``recipe``, before it runs."""
    if recipe in _EPOCH_RECIPES:
        return small_part_notes(parts.gradient, classes, recipe)
    worthless = worthless_figure_note(parts.linear.test or parts.linear.refit)
    return [worthless] if worthless else []


def small_part_notes(parts: Parts, classes: Sequence[str], recipe: RecipeName) -> list[str]:
    """Return notes on too few validation and test photos of a recipe that trains in epochs.

    Args:
        parts: the parts for a training in epochs.
        classes: names of the classes.
        recipe: the recipe; the others use cross-validation, or compare before they choose.
    """
    if recipe not in _EPOCH_RECIPES:
        return []
    notes = []
    worthless = worthless_figure_note(parts.test)
    if 0 < len(parts.validation) < MIN_TO_CHOOSE:
        choosing = f"{_photos(parts.validation, 'validation photo', classes)} will choose the epoch"
        notes.append(f"{choosing}, too few to tell epochs apart; --recipe linear-probe uses cross-validation instead")
    if worthless:
        notes.append(worthless)
    elif 0 < len(parts.test) < MIN_TO_MEASURE:
        points = 100 / math.sqrt(len(parts.test))
        measured = f"{_photos(parts.test, f'{parts.test_side} photo', classes)} will measure the result"
        notes.append(f"{measured}: the accuracy will be known only to about ± {points:.0f} points")
    return notes


def worthless_figure_note(measured: Sequence[Entry]) -> str:
    """Return a note if an accuracy on these photos will mean nothing, or "".

    That is so if even a model without a mistake would not be clearly better than always predicting the most frequent
    class: its 95 % interval contains the share of that class.

    Args:
        measured: the photos on which the result will be measured.
    """
    if not measured:
        return ""
    label, count = Counter(entry.label for entry in measured).most_common(1)[0]
    if wilson(len(measured), len(measured))[0] > count / len(measured):
        return ""
    photos = counted(len(measured), "photo")
    return (
        f"{photos} will measure the result, {count} of them {label!r}: even without a mistake it would not be clearly "
        f"better than always predicting {label!r}, so the accuracy will mean nothing; add photos"
    )


def _photos(entries: Sequence[Entry], noun: str, classes: Sequence[str]) -> str:
    """Return the number of photos, and of each class if there are few classes: ``10 validation photos (7/2/1)``."""
    counts = Counter(entry.label for entry in entries)
    by_class = "/".join(str(counts[name]) for name in classes) if len(classes) <= _FEW_CLASSES else ""
    return f"{counted(len(entries), noun)}{f' ({by_class} by class)' if by_class else ''}"
