"""Evidence: accuracies of the ways on other folders, and on the user's own.

``ways.csv`` has a row for each way and cut of a folder: ``benchmarks/evidence.py`` writes it, and `auto` uses it too. A
gain is a share of the mistakes of the linear probe on the same photos, so that easy and difficult folders are
comparable.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from regraft.advice.folder_figures import FolderFigures
from regraft.advice.ways import WAYS, Way

PHOTO_VARIANCE = 0.5
"""Variance of a photo's part in the difference of two accuracies, over the error of the first: about the share of its
mistakes on which the two disagree."""


Cell = dict[str, dict[str, str]]
"""The rows of a cut of a folder, by way."""


@dataclass(frozen=True)
class Evidence:
    """A measured gain of a way over the linear probe, on photos that no choice has used.

    The gain of the linear probe itself is that over its out-of-fold figures: it is fitted on all photos in the end.

    Attributes:
        folder: name of the folder that the photos are from; cuts with other classes of it have the same.
        figures: its figures.
        way: the way.
        gain: share of the probe's mistakes that disappeared; negative if there were more.
        test: number of test photos.
        seconds: processor seconds that the way took; None if unknown.
    """

    folder: str
    figures: FolderFigures
    way: Way
    gain: float
    test: int
    seconds: float | None = None

    @property
    def variance(self) -> float:
        """Variance of the measured gain, from the finite number of photos."""
        error = self.figures.error
        if self.way == "probe":
            return (1 - error) / (self.test * error) + (self.figures.error_deviation / error) ** 2
        return PHOTO_VARIANCE / (self.test * error)


@cache
def shipped_cells() -> tuple[Cell, ...]:
    """Return the cells of ``ways.csv``, the table that comes with regraft."""
    text = resources.files("regraft.advice").joinpath("ways.csv").read_text(encoding="utf-8")
    return tuple(cells_of(csv.DictReader(text.splitlines())))


@cache
def shipped_evidence() -> tuple[Evidence, ...]:
    """Return the evidence that comes with regraft."""
    return tuple(evidence for cell in shipped_cells() for evidence in _gains(cell))


def cells_of(rows: Iterable[dict[str, str]]) -> list[Cell]:
    """Return the rows of a table like ``ways.csv``, by cut and then by way."""
    cells: dict[tuple[str, ...], Cell] = {}
    for row in rows:
        cells.setdefault(tuple(row[name] for name in ("folder", "photos", "seed", "split")), {})[row["way"]] = row
    return list(cells.values())


def evidence_of(rows: Iterable[dict[str, str]]) -> list[Evidence]:
    """Return the gains in the rows of a table like ``ways.csv``: those of each way over the probe on the same cut."""
    return [evidence for cell in cells_of(rows) for evidence in _gains(cell)]


def _gains(cell: Cell) -> list[Evidence]:
    probe = cell.get("probe")
    if probe is None:
        return []
    figures, before, test = _figures(probe), float(probe["accuracy"]), int(probe["test"])
    ways: dict[Way, dict[str, str]] = {way: cell[way] for way in WAYS if way in cell and way != "probe"}
    folder = probe["photos_from"]
    refitted = Evidence(folder, figures, "probe", 1 - (1 - before) / figures.error, test)
    return [
        refitted,
        *_gains_over_probe(folder, figures, before, test, ways),
    ]


def _gains_over_probe(
    folder: str, figures: FolderFigures, before: float, test: int, ways: dict[Way, dict[str, str]]
) -> list[Evidence]:
    return [
        Evidence(
            folder,
            figures,
            way,
            (float(row["accuracy"]) - before) / figures.error,
            test,
            float(row["seconds"]) if row["seconds"] else None,
        )
        for way, row in ways.items()
    ]


def _figures(row: dict[str, str]) -> FolderFigures:
    photos, error = int(row["photos"]), float(row["error"])
    return FolderFigures(
        photos=photos,
        classes=int(row["classes"]),
        error=error,
        error_deviation=(error * (1 - error) / photos) ** 0.5,
        log_loss=float(row["log_loss"] or "nan"),
        lead=float(row["lead"]) if row["lead"] else None,
        added=float(row["added"]) if row["added"] else None,
        slope=float(row["slope"]) if row["slope"] else None,
    )
