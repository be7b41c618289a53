"""The choice of a regularisation by held-out loss, and when its path need not be followed further."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Choice:
    """Which C was chosen, and from what.

    Attributes:
        C: the chosen one.
        index: its place on the grid.
        best: the place of the lowest mean loss.
        grid: the Cs that were tried, ascending.
        mean: mean held-out log-loss at each.
        difference: by how much that is above the lowest.
        standard_error: standard error of that difference.
    """

    C: float
    index: int
    best: int
    grid: tuple[float, ...]
    mean: tuple[float, ...]
    difference: tuple[float, ...]
    standard_error: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return what a journal keeps, of plain JSON values."""
        rows = zip(self.grid, self.mean, self.difference, self.standard_error, strict=True)
        names = ("C", "log_loss", "above_lowest", "standard_error")
        path = [{name: float(f"{value:.6g}") for name, value in zip(names, row, strict=True)} for row in rows]
        return {"C": self.C, "lowest_at": self.grid[self.best], "path": path}


def choose(
    losses: NDArray[np.float64], weight: NDArray[np.float64], unit: NDArray[np.int64], grid: tuple[float, ...]
) -> Choice:
    """Choose the strongest regularisation whose held-out loss ties with the lowest.

    Two of them tie when their mean losses differ by at most one standard error of that difference, taken over the same
    photos. Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3, take the standard error of the
    lowest mean instead; that is mostly about how hard the photos are, which is the same for every C, and many times
    larger.

    Args:
        losses: held-out loss of each row at each C, shape (c, n), float64.
        weight: what each row counts, shape (n,); zero leaves it out.
        unit: group of each row, shape (n,); the rows of a group are no independent evidence.
        grid: the Cs, ascending.
    """
    used = weight > 0
    losses, weight, unit = losses[:, used], weight[used], unit[used]
    total = weight.sum()
    mean = losses @ weight / total if total > 0 else np.zeros(len(losses))
    best = int(np.argmin(mean))
    error = np.array([grouped_standard_error(row - losses[best], weight, unit) for row in losses])
    tied = np.flatnonzero(mean - mean[best] <= error)
    index = int(min(tied.min(), best)) if len(tied) else best
    numbers = (tuple(float(v) for v in values) for values in (mean, mean - mean[best], error))
    return Choice(grid[index], index, best, grid, *numbers)


def past(choice: Choice) -> bool:
    """Return whether the loss has left its lowest value for good.

    It has where it is clearly higher (two standard errors) at the last C, or higher (one) at each of the last two.
    """
    beyond = len(choice.grid) - 1 - choice.best
    gap, error = np.array(choice.difference), np.array(choice.standard_error)
    if beyond >= 1 and gap[-1] > 2 * error[-1]:
        return True
    return beyond >= 2 and bool((gap[-2:] > error[-2:]).all())


def grouped_standard_error(values: NDArray[np.float64], weight: NDArray[np.float64], unit: NDArray[np.int64]) -> float:
    """Return the standard error of the weighted mean of ``values``, the rows of a unit taken as one; all (n,)."""
    if not len(values):
        return 0.0
    centred = weight * (values - values @ weight / weight.sum())
    _, place = np.unique(unit, return_inverse=True)
    sums = np.bincount(place, centred)
    units = len(sums)
    if units < 2:
        return float("inf")
    return float(np.sqrt((sums**2).sum() * units / (units - 1)) / weight.sum())
