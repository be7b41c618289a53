"""Proof that an exported file answers as `regraft predict` does, on the user's own photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft.errors import DecodeError, ProofError
from regraft.export.decoding import Decoding
from regraft.inference.prediction import Prediction
from regraft.inference.predictor import Predictor
from regraft.models.ensemble import members_of
from regraft.screen import Bar
from regraft.text import counted

MAX_PHOTOS = 500
"""Maximum number of photos that a proof compares."""

TOLERANCE = 1e-3
"""Maximum difference of a probability."""

_SHOWN = 5
_LISTED = 5


@dataclass(frozen=True)
class Comparison:
    """The answers for one photo.

    Attributes:
        name: its name.
        content: SHA-256 of its bytes.
        expected: probabilities by `regraft predict`, shape (C,).
        found: probabilities by the exported file, shape (C,).
    """

    name: str
    content: str
    expected: NDArray[np.float64]
    found: NDArray[np.float64]

    @property
    def difference(self) -> float:
        """Largest difference of a probability."""
        return float(np.abs(self.expected - self.found).max())

    @property
    def same_label(self) -> bool:
        """True if the most probable class is the same."""
        return int(self.expected.argmax()) == int(self.found.argmax())


@dataclass(frozen=True)
class Proof:
    """The comparison of an exported file with `regraft predict`.

    Attributes:
        photos: what was compared: ``"photos of the run"``, the name of a folder, or ``"generated images"``.
        comparisons: one for each photo.
        unreadable: number of photos that neither could read.
        tolerance: maximum difference of a probability.
        minimum_share: share of the photos whose most probable class must be the same; below 1 for lower precision.
    """

    photos: str
    comparisons: tuple[Comparison, ...]
    unreadable: int = 0
    tolerance: float = TOLERANCE
    minimum_share: float = 1.0
    worst: tuple[Comparison, ...] = field(init=False)

    def __post_init__(self) -> None:
        ordered = sorted(self.comparisons, key=lambda one: (one.same_label, -one.difference))
        object.__setattr__(self, "worst", tuple(ordered[:_SHOWN]))

    @property
    def same_labels(self) -> int:
        """Number of photos with the same most probable class."""
        return sum(one.same_label for one in self.comparisons)

    @property
    def largest_difference(self) -> float:
        """Largest difference of a probability of any photo; NaN without photos."""
        return max((one.difference for one in self.comparisons), default=float("nan"))

    @property
    def passed(self) -> bool:
        """True if enough labels are the same and no probability differs by more than ``tolerance``."""
        return (
            bool(self.comparisons)
            and self.same_labels >= self.minimum_share * len(self.comparisons)
            and self.largest_difference <= self.tolerance
        )

    def check(self, file: str, classes: Sequence[str]) -> None:
        """Check that the proof passed.

        Raises:
            ProofError: it did not; the five photos that differ most are named.
        """
        if self.passed:
            return
        if not self.comparisons:
            raise ProofError(f"{file}: no photo could be compared; name a folder of photos with --photos")
        message = (
            f"{file} answers differently from regraft predict: the same class for {self.same_labels:,} of "
            f"{counted(len(self.comparisons), 'photo')}, probabilities differ by up to {self.largest_difference:.2g}; "
            f"expected the same class for {self._wanted} and at most {self.tolerance:g}"
        )
        for one in self.worst:
            expected, found = int(one.expected.argmax()), int(one.found.argmax())
            message += (
                f"\n  {one.name}: {classes[expected]} {one.expected[expected]:.4f} by predict, "
                f"{classes[found]} {one.found[found]:.4f} by the file"
            )
        raise ProofError(message)

    @property
    def _wanted(self) -> str:
        return "all" if self.minimum_share == 1 else f"{100 * self.minimum_share:.1f} %"

    def as_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return the proof, ready for JSON: the figures, the worst photos, and each photo's best classes."""
        return {
            "photos": self.photos,
            "compared": len(self.comparisons),
            "unreadable": self.unreadable,
            "same_label": self.same_labels,
            "largest_difference": self.largest_difference,
            "tolerance": self.tolerance,
            "minimum_share": self.minimum_share,
            "passed": self.passed,
            "worst": [{"photo": one.name, "difference": one.difference} for one in self.worst],
            "answers": [
                {
                    "photo": one.name,
                    "sha256": one.content,
                    "top": {
                        classes[i]: round(float(one.expected[i]), 7)
                        for i in np.argsort(-one.expected, kind="stable")[:_LISTED].tolist()
                    },
                }
                for one in self.comparisons
            ],
        }


def decoding_of(predictor: Predictor) -> Decoding:
    """Return the decoding that suits all networks of ``predictor``."""
    members = members_of(predictor.classifier)
    sizes = {member.preprocessing.at_least for member in members}
    largest = max(width for width, _ in sizes), max(height for _, height in sizes)
    return Decoding(largest, members[0].preprocessing.rendering, len(sizes) == 1)


def prove(
    classify: Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]],
    predictor: Predictor,
    photos: Mapping[Path, str],
    about: str,
    bar: Bar | None = None,
) -> Proof:
    """Return the comparison of ``classify`` with ``predictor`` on ``photos``.

    Args:
        classify: maps the pixels of a photo, (H, W, 3), to its probabilities.
        predictor: the classifier, whose answers are expected.
        photos: SHA-256 of each photo, by path.
        about: description of the photos.
        bar: advances once for each photo.
    """
    decoding = decoding_of(predictor)
    compared, unreadable = list[Comparison](), 0
    for path, prediction in zip(photos, _predictions(predictor, decoding, photos), strict=True):
        try:
            pixels = decoding.pixels(path)
        except DecodeError:
            unreadable += 1
        else:
            by_class = dict(prediction.top)
            expected = np.array([by_class[name] for name in predictor.classes])
            probabilities = np.asarray(classify(pixels), dtype=np.float64)
            compared.append(Comparison(path.name, photos[path], expected, probabilities))
        if bar is not None:
            bar.advance()
    return Proof(about, tuple(compared), unreadable)


def _predictions(predictor: Predictor, decoding: Decoding, photos: Iterable[Path]) -> Iterator[Prediction]:
    """Yield the predictions of photos, each decoded once.

    A predictor decodes a photo for each of its networks, at the scale that suits it. Where networks differ in size, one
    photo in memory is what an exported file gets too.
    """
    if decoding.is_one_size:
        yield from predictor.stream(photos)
        return
    for path in photos:
        try:
            yield predictor.predict(Image.fromarray(decoding.pixels(path)))
        except DecodeError as error:
            yield Prediction(str(path), None, None, (), str(error))
