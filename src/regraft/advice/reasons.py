"""The place of a folder between few and many photos, and between photos like and unlike those of the pretraining.

The four corners are those of the lecture (Stanford CS231n, "Transfer Learning", https://cs231n.github.io/transfer-learning):
few and alike, many and alike, few and unlike, many and unlike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from regraft.advice.folder_figures import FolderFigures
from regraft.advice.ways import FACTS, Way

Size = Literal["few", "some", "many"]
Similarity = Literal["alike", "in between", "unlike", "unknown"]

FEW, MANY = 30.0, 300.0
"""Photos of a class below which they are few, and from which they are many."""

ALIKE, UNLIKE = 0.06, 0.0
"""Leads of the top layer from which photos count as alike, and below which they count as unlike."""

CORNERS: Final[dict[tuple[bool, bool], Way]] = {
    (False, True): "probe",
    (True, True): "all blocks",
    (False, False): "depth",
    (True, False): "all blocks",
}
"""The lecture's way for many photos or few (first), alike or unlike (second)."""


@dataclass(frozen=True)
class Place:
    """The place of a folder in the lecture's picture.

    Attributes:
        size: how many photos a class has.
        similarity: how much they are like those of the pretraining.
        lecture: the way that the lecture's table names; None if the similarity is unknown.
    """

    size: Size
    similarity: Similarity
    lecture: Way | None


def place_of(figures: FolderFigures) -> Place:
    """Return the place of a folder."""
    photos, lead = figures.photos_a_class, figures.lead
    size: Size = "few" if photos < FEW else "many" if photos >= MANY else "some"
    if lead is None:
        return Place(size, "unknown", None)
    similarity: Similarity = "alike" if lead >= ALIKE else "unlike" if lead < UNLIKE else "in between"
    many, alike = photos >= (FEW * MANY) ** 0.5, lead >= (ALIKE + UNLIKE) / 2
    return Place(size, similarity, CORNERS[many, alike])


def reason(figures: FolderFigures, advised: Way) -> str:
    """Return why a way is advised, in the lecture's words."""
    place = place_of(figures)
    photos = f"{place.size} photos ({figures.photos_a_class:,.0f} a class)"
    like = {
        "alike": "the top layer explains the classes best, so they are like the photos of the pretraining",
        "unlike": "a lower block explains the classes as well as the top layer, so they are unlike the photos of the "
        "pretraining",
        "in between": "the top layer leads a lower block by little, so they are somewhat like the photos of the "
        "pretraining",
        "unknown": "their similarity to the photos of the pretraining was not measured",
    }[place.similarity]
    return f"{photos}; {like}: {FACTS[advised].lecture}"
