"""The photos that a report shows: which predictions, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_MISTAKES = 96
"""Mistakes that are shown with their nearest training photos."""

MAX_RIGHT = 60
"""Right predictions that are shown."""

MAX_CLASSES = 100
"""Classes whose first photo is shown."""

NEIGHBORS = 3
"""Nearest training photos that are shown with a mistake."""


@dataclass(frozen=True)
class PredictedPhoto:
    """A row of ``predictions.csv``.

    Attributes:
        path: name of the photo, relative to the folder of photos.
        label: its class.
        predicted: the class that was predicted.
        probability: probability of what was predicted.
        probability_of_class: probability of its class.
    """

    path: str
    label: str
    predicted: str
    probability: float
    probability_of_class: float

    @property
    def is_right(self) -> bool:
        """True if the prediction is right."""
        return self.label == self.predicted

    @property
    def confusion(self) -> float:
        """Probability of the predicted class minus that of the right one."""
        return self.probability - self.probability_of_class


def mistakes_to_show(photos: Sequence[PredictedPhoto]) -> list[PredictedPhoto]:
    """Return at most `MAX_MISTAKES` mistakes, the worst of every class before the second worst of any."""
    wrong = [photo for photo in photos if not photo.is_right]
    return _in_turn(sorted(wrong, key=lambda photo: (-photo.confusion, photo.path)), MAX_MISTAKES)


def right_to_show(photos: Sequence[PredictedPhoto]) -> list[PredictedPhoto]:
    """Return at most `MAX_RIGHT` right predictions, at most three of a class, the least sure ones."""
    right = [photo for photo in photos if photo.is_right]
    return _in_turn(sorted(right, key=lambda photo: (photo.probability, photo.path)), MAX_RIGHT, of_a_class=3)


def _in_turn(photos: Iterable[PredictedPhoto], limit: int, of_a_class: int | None = None) -> list[PredictedPhoto]:
    """Return photos of all classes in turn, of each class in the given order."""
    turns: dict[str, int] = {}
    ranked = []
    for photo in photos:
        turn = turns[photo.label] = turns.get(photo.label, -1) + 1
        if of_a_class is None or turn < of_a_class:
            ranked.append((turn, photo))
    return [photo for _, photo in sorted(ranked, key=lambda pair: pair[0])[:limit]]
