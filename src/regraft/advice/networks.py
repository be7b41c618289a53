"""Networks that were measured on the folders of the evidence: their linear probe against the default network's."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from importlib import resources

import numpy as np


@dataclass(frozen=True)
class MeasuredNetwork:
    """The linear probe on a network, against that on the default network.

    Attributes:
        points: mean difference in accuracy over the folders, in points.
        standard_error: its standard error, between folders.
        folders: number of folders.
        cuts: number of cuts of them.
    """

    points: float
    standard_error: float
    folders: int
    cuts: int


def measured_networks() -> dict[str, MeasuredNetwork]:
    """Return the networks with a measurement, by name."""
    text = resources.files("regraft.advice").joinpath("ways.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    probe = {_cut(row): float(row["accuracy"]) for row in rows if row["way"] == "probe"}
    gains: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["way"] == "another network":
            folders = gains.setdefault(row["network"], {})
            folders.setdefault(row["photos_from"], []).append(100 * (float(row["accuracy"]) - probe[_cut(row)]))
    return {name: _network(folders) for name, folders in gains.items()}


def _cut(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("folder", "photos", "seed", "source"))


def _network(folders: dict[str, list[float]]) -> MeasuredNetwork:
    means = np.array([np.mean(gains) for gains in folders.values()])
    error = float(means.std(ddof=1)) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    cuts = sum(len(gains) for gains in folders.values())
    return MeasuredNetwork(round(float(means.mean()), 2), round(error, 2), len(means), cuts)
