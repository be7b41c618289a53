"""Cost and gain of a file of lower precision: accuracy on labeled photos, size, and time of a photo."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import ProofError
from regraft.export.compressed_network import Precision
from regraft.export.decoding import Decoding
from regraft.export.exported_file import ExportedFile
from regraft.export.labeled_photos import LabeledPhotos
from regraft.export.proof import Comparison, Proof
from regraft.measure.changed_margins import accuracy_change, margins
from regraft.measure.paired import Difference, accuracy_difference

MAX_LOSS = 0.005
"""Loss of accuracy that the interval must exclude."""

_SPARE_SHARE = 0.02  # of photos whose class may be another one when a proof is repeated on another processor


@dataclass(frozen=True)
class Compression:
    """A file of lower precision, next to the same classifier in single precision.

    Attributes:
        precision: its precision.
        method: what has it: ``"weights"``, or ``"weights and activations"``.
        photos: number of labeled photos.
        same_label: number of them with the same most probable class.
        counted: difference of the accuracies on them.
        expected: expected difference, by the margins of the photos (`regraft.measure.changed_margins`).
        size: bytes of the file, and of that in single precision.
        milliseconds: time of a photo on one thread, and that in single precision.
    """

    precision: Precision
    method: str
    photos: int
    same_label: int
    counted: Difference
    expected: Difference
    size: tuple[int, int]
    milliseconds: tuple[float, float]

    @property
    def is_good(self) -> bool:
        """True if the interval of the expected difference excludes a loss of more than `MAX_LOSS`."""
        return self.expected.interval is not None and self.expected.interval[0] >= -MAX_LOSS

    @property
    def accuracy_text(self) -> str:
        """The comparison as a sentence."""
        interval = self.expected.interval
        change = "unknown with fewer than 20 photos"
        if interval is not None:
            points = [f"{100 * value:+.2f}" for value in (self.expected.value, *interval)]
            change = f"{points[0]} points expected ({points[1]} to {points[2]}, 95 % interval)"
        return (
            f"the same class for {self.same_label:,} of {self.photos:,} photos; accuracy {change}, "
            f"{100 * self.counted.value:+.2f} points counted"
        )

    @property
    def size_text(self) -> str:
        """The sizes and times as a sentence."""
        small, usual = (value / 1e6 for value in self.size)
        fast, slow = self.milliseconds
        times = f"{fast:.1f} ms instead of {slow:.1f} ms per photo on one thread"
        return f"{small:.1f} MB instead of {usual:.1f} MB; {times}"

    @property
    def text(self) -> str:
        """All figures as a sentence."""
        return f"{self.precision} {self.method}: {self.accuracy_text}; {self.size_text}"

    def as_dict(self) -> dict[str, Any]:
        """Return all figures, ready for JSON."""
        return {
            "precision": self.precision,
            "method": self.method,
            "photos": self.photos,
            "same_label": self.same_label,
            "counted_difference": self.counted.as_dict(),
            "expected_difference": self.expected.as_dict(),
            "bytes": list(self.size),
            "milliseconds": list(self.milliseconds),
        }


def compare_precisions(
    kind: tuple[Precision, str],
    files: tuple[ExportedFile, ExportedFile],
    comparisons: Sequence[Comparison],
    known: LabeledPhotos,
    photos: Sequence[Path],
) -> Compression:
    """Return the comparison of a file with the same classifier in single precision.

    Args:
        kind: precision of the file, and what has it.
        files: the file, and that in single precision.
        comparisons: answers of `regraft predict` and of the file.
        known: classes of the photos, and their margins by classifiers that were not trained on them.
        photos: photos for the measurement of time.
    """
    labeled = [one for one in comparisons if one.content in known.labels]
    y = np.array([known.labels[one.content] for one in labeled], dtype=np.int64)
    if not labeled:
        raise ProofError(f"--{kind[0]}: none of the labeled photos could be read")
    before, after = (np.stack([getattr(one, name) for one in labeled]) for name in ("expected", "found"))
    before_margins = margins(before, y)
    small, large = files
    recorded = known.usual_margins
    usual = before_margins if recorded is None else np.array([recorded[one.content] for one in labeled])
    return Compression(
        *kind,
        len(labeled),
        sum(one.same_label for one in labeled),
        accuracy_difference(_normalized(after), _normalized(before), y),
        accuracy_change(usual, margins(after, y) - before_margins, kind[0]),
        (small.path.stat().st_size, large.path.stat().st_size),
        _milliseconds(files, photos),
    )


def with_own_tolerance(proof: Proof) -> Proof:
    """Return a proof whose tolerance suits a file of lower precision: twice the differences that were found."""
    share = proof.same_labels / max(1, len(proof.comparisons))
    tolerance = max(proof.tolerance, 2 * proof.largest_difference)
    return replace(proof, tolerance=round(tolerance, 4), minimum_share=round(max(0.0, share - _SPARE_SHARE), 4))


def _normalized(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))


def _milliseconds(files: tuple[ExportedFile, ExportedFile], photos: Sequence[Path]) -> tuple[float, float]:
    """Return the median time of a photo by each file on one thread, in turn, without the decoding."""
    decoding = Decoding.from_facts(files[0].facts)
    times: tuple[list[float], list[float]] = ([], [])
    for path in photos:
        pixels = decoding.pixels(path)
        for file, its_times in zip(files, times, strict=True):
            started = time.thread_time()
            file.classify(pixels)
            its_times.append(1000 * (time.thread_time() - started))
    return statistics.median(times[0]), statistics.median(times[1])
