"""Networks that were measured on the folders of the evidence: their linear probe against the default network's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from regraft.advice.evidence import shipped_cells


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
    gains: dict[str, dict[str, list[float]]] = {}
    for cell in shipped_cells():
        if "another network" in cell:
            other, probe = cell["another network"], cell["probe"]
            points = 100 * (float(other["accuracy"]) - float(probe["accuracy"]))
            gains.setdefault(other["network"], {}).setdefault(other["photos_from"], []).append(points)
    return {name: _network(folders) for name, folders in gains.items()}


def _network(folders: dict[str, list[float]]) -> MeasuredNetwork:
    means = np.array([np.mean(gains) for gains in folders.values()])
    error = float(means.std(ddof=1)) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    cuts = sum(len(gains) for gains in folders.values())
    return MeasuredNetwork(round(float(means.mean()), 2), round(error, 2), len(means), cuts)
