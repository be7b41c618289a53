"""Predicted photos as items of a review, and the file of labels that a review of them writes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from regraft.disk.csv_file import read_csv, write_csv
from regraft.monitor.review_items import ReviewItem
from regraft.text import percent

LIKELY = 9
"""Most probable classes of a photo that get keys."""


class PredictedPhoto(Protocol):
    """A prediction, as `regraft.inference.prediction.Prediction`."""

    @property
    def path(self) -> str:
        """Path of the photo."""

    @property
    def top(self) -> Sequence[tuple[str, float]]:
        """All classes with their probabilities, the most probable first; empty if the photo could not be read."""


def items_of_predictions(predictions: Iterable[PredictedPhoto]) -> list[ReviewItem]:
    """Return the photos that could be read, the least certain prediction first: its correction helps most."""
    readable = [prediction for prediction in predictions if prediction.top]
    return [
        ReviewItem(
            name=prediction.path,
            file=Path(prediction.path),
            label=prediction.top[0][0],
            kind="prediction",
            words=" · ".join(f"{label} {percent(probability)}" for label, probability in prediction.top[:3]),
            likely=tuple(label for label, _ in prediction.top[:LIKELY]),
        )
        for prediction in sorted(readable, key=lambda prediction: prediction.top[0][1])
    ]


def decisions_of_labels(labels: Mapping[str, str], items: Iterable[ReviewItem]) -> dict[str, str]:
    """Return labels by absolute path as decisions about predicted photos: the class was accepted, or corrected."""
    known = {item.name: (item.label, labels.get(place(item.name), "")) for item in items}
    return {
        name: "keep" if label == predicted else f"relabel:{label}"
        for name, (predicted, label) in known.items()
        if label
    }


def write_labels(
    file: Path, items: Iterable[ReviewItem], decisions: Mapping[str, str], earlier: Mapping[str, str]
) -> None:
    """Write a CSV of path,label for `regraft train --labels`; photos that are left out have no line.

    Args:
        file: the CSV; paths in it are relative to its folder, or absolute.
        items: the photos of the review.
        decisions: the decisions about them by name.
        earlier: labels by absolute path that are in the file already; those of other photos stay.

    Raises:
        OSError: it cannot be written.
    """
    labels = {place(item.name): _label(item, decisions.get(item.name, "")) for item in items}
    base = place(file.parent)
    rows = [
        (Path(path).relative_to(base).as_posix() if Path(path).is_relative_to(base) else path, label)
        for path, label in {**earlier, **labels}.items()
        if label
    ]
    write_csv(file, [("path", "label"), *rows])


def read_labels(file: Path) -> dict[str, str]:
    """Return the labels by absolute path that `write_labels` wrote; empty if the file does not exist."""
    if not file.exists():
        return {}
    rows = [row for row in read_csv(file) if row.get("path") and row.get("label")]
    return {place(file.parent / row["path"]): row["label"] for row in rows}


def place(path: Path | str) -> str:
    """Return an absolute path; links stay as they are."""
    return os.path.abspath(path)  # noqa: PTH100


def _label(item: ReviewItem, decision: str) -> str:
    return item.label if decision == "keep" else decision.removeprefix("relabel:") if ":" in decision else ""
