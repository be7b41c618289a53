"""The curves of a run: its figures by epoch, in bounded memory."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Any

MAX_POINTS = 1000
"""Maximum points of a curve; of a longer one, every second point is dropped, again and again."""

MAX_SERIES = 40
"""Maximum number of curves; further figures are left out."""

Point = tuple[float, dict[str, float | None]]
"""A position on the horizontal axis, and the figures there."""


class Curves:
    """The figures of a run by epoch.

    Attributes:
        count: number of points that were added.
        stages: for each stage of the training, its name and the position where it begins.
    """

    def __init__(self) -> None:
        self.count = 0
        self.stages: list[tuple[str, float]] = []
        self._x = array("d")
        self._series: dict[str, array[float]] = {}
        self._stride, self._last_is_extra = 1, False
        self._end_of_stages = 0.0

    def add(self, stage: str, epoch: float | None, figures: Mapping[str, float]) -> Point:
        """Add a point and return it.

        Args:
            stage: the stage of the training; a new one continues where the one before ends.
            epoch: the position within the stage; None for the next one. A position that is not behind the last one
                replaces the points from there on: the training was resumed at that epoch.
            figures: the figures; NaN where they are undefined.
        """
        if not self.stages or self.stages[-1][0] != stage:
            self._end_of_stages = self._x[-1] if self._x else 0.0
            self.stages.append((stage, self._end_of_stages))
        x = (self._x[-1] + 1 if self._x else 0.0) if epoch is None else self._end_of_stages + epoch
        self._drop_from(x)
        if self._last_is_extra:
            self._drop_last()
        self.count += 1
        self._last_is_extra = self.count % self._stride != 0
        self._append(x, {name: _rounded(value) for name, value in figures.items()})
        if len(self._x) > MAX_POINTS:
            self._thin()
        return x, {name: _finite(self._series[name][-1]) for name in figures if name in self._series}

    def as_json(self) -> dict[str, Any]:
        """Return all curves as JSON values; an undefined figure is None."""
        return {
            "x": self._x.tolist(),
            "series": {name: [_finite(value) for value in values] for name, values in self._series.items()},
            "stages": self.stages,
        }

    def best(self, name: str) -> Point | None:
        """Return the point with the lowest value of a figure, with all figures there; None if it has no value."""
        values = self._series.get(name, ())
        at = min((k for k, value in enumerate(values) if math.isfinite(value)), key=lambda k: values[k], default=None)
        return None if at is None else (self._x[at], {key: _finite(column[at]) for key, column in self._series.items()})

    def last(self) -> Point | None:
        """Return the last point, or None if there is none."""
        return (self._x[-1], {key: _finite(column[-1]) for key, column in self._series.items()}) if self._x else None

    def _append(self, x: float, figures: Mapping[str, float]) -> None:
        for name in figures:
            if name not in self._series and len(self._series) < MAX_SERIES:
                self._series[name] = array("d", [math.nan]) * len(self._x)
        self._x.append(x)
        for name, column in self._series.items():
            column.append(figures.get(name, math.nan))

    def _drop_from(self, x: float) -> None:
        while self._x and self._x[-1] >= x:
            self._drop_last()

    def _drop_last(self) -> None:
        self._last_is_extra = False
        for column in (self._x, *self._series.values()):
            column.pop()

    def _thin(self) -> None:
        """Drop every second point; the last one stays until the next one comes."""
        self._stride *= 2
        last = len(self._x) - 1
        self._last_is_extra = bool(last % 2)
        for column in (self._x, *self._series.values()):
            column[:] = column[::2] + column[last : last + last % 2]


def _rounded(value: float) -> float:
    """Return a figure with six digits; NaN if it is not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else math.nan


def _finite(value: float) -> float | None:
    """Return a figure, or None for NaN, which JSON does not have."""
    return None if math.isnan(value) else value
