"""Notes on parts of the photos that are too small, before a training in epochs chooses and measures with them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from regraft.context.option_values import RecipeName
from regraft.context.parts import Parts
from regraft.data.manifest import Entry
from regraft.text import counted

MIN_TO_CHOOSE = 20
"""Minimum validation photos to tell epochs apart."""

MIN_TO_MEASURE = 50
"""Minimum test photos for an accuracy that is known to about 14 points."""

_EPOCH_RECIPES = ("feature-extraction", "fine-tune")
_FEW_CLASSES = 6


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
    if 0 < len(parts.validation) < MIN_TO_CHOOSE:
        choosing = f"{_photos(parts.validation, 'validation photo', classes)} will choose the epoch"
        notes.append(f"{choosing}, too few to tell epochs apart; --recipe linear-probe uses cross-validation instead")
    if 0 < len(parts.test) < MIN_TO_MEASURE:
        points = 100 / math.sqrt(len(parts.test))
        measured = f"{_photos(parts.test, f'{parts.test_side} photo', classes)} will measure the result"
        notes.append(f"{measured}: the accuracy will be known only to about ± {points:.0f} points")
    return notes


def _photos(entries: Sequence[Entry], noun: str, classes: Sequence[str]) -> str:
    """Return the number of photos, and of each class if there are few classes: ``10 validation photos (7/2/1)``."""
    counts = Counter(entry.label for entry in entries)
    by_class = "/".join(str(counts[name]) for name in classes) if len(classes) <= _FEW_CLASSES else ""
    return f"{counted(len(entries), noun)}{f' ({by_class} by class)' if by_class else ''}"
