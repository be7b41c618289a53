"""Choice of the regularization by held-out loss, and the rule that ends the search early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RegularizationChoice:
    """The chosen C and the losses that it was chosen by.

    Attributes:
        C: the chosen value.
        index: its position in ``grid``.
        lowest: position of the lowest mean loss.
        grid: all values of C that were tried, ascending.
        mean_loss: mean held-out log-loss of each.
        excess: mean loss minus the lowest mean loss, of each.
        standard_error: standard error of the excess, of each.
    """

    C: float
    index: int
    lowest: int
    grid: tuple[float, ...]
    mean_loss: tuple[float, ...]
    excess: tuple[float, ...]
    standard_error: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values for the journal."""
        rows = zip(self.grid, self.mean_loss, self.excess, self.standard_error, strict=True)
        names = ("C", "log_loss", "above_lowest", "standard_error")
        path = [{name: float(f"{value:.6g}") for name, value in zip(names, row, strict=True)} for row in rows]
        return {"C": self.C, "lowest_at": self.grid[self.lowest], "path": path}


def choose_regularization(
    losses: NDArray[np.float64], weight: NDArray[np.float64], group: NDArray[np.int64], grid: tuple[float, ...]
) -> RegularizationChoice:
    """Choose the strongest regularization whose held-out loss ties with the lowest.

    Two losses tie if their means differ by at most one standard error of the difference, measured on the same photos.
    Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3, use the standard error of the lowest mean
    instead. That error reflects how hard the photos are, which is the same for every C, and is many times larger.

    Args:
        losses: held-out loss of each row at each C, shape (c, n), float64.
        weight: weight of each row, shape (n,); zero ignores it.
        group: group of each row, shape (n,); rows of one group are not independent evidence.
        grid: values of C, ascending.
    """
    used = weight > 0
    losses, weight, group = losses[:, used], weight[used], group[used]
    total = weight.sum()
    mean = losses @ weight / total if total > 0 else np.zeros(len(losses))
    lowest = int(np.argmin(mean))
    error = np.array([grouped_standard_error(row - losses[lowest], weight, group) for row in losses])
    tied = np.flatnonzero(mean - mean[lowest] <= error)
    index = int(min(tied.min(), lowest)) if len(tied) else lowest
    columns = (tuple(float(v) for v in values) for values in (mean, mean - mean[lowest], error))
    return RegularizationChoice(grid[index], index, lowest, grid, *columns)


def loss_has_passed_minimum(choice: RegularizationChoice) -> bool:
    """Return whether the loss has clearly risen again after its lowest value.

    It has if it is two standard errors above the lowest at the last C, or one at each of the last two.
    """
    steps_since = len(choice.grid) - 1 - choice.lowest
    excess, error = np.array(choice.excess), np.array(choice.standard_error)
    if steps_since >= 1 and excess[-1] > 2 * error[-1]:
        return True
    return steps_since >= 2 and bool((excess[-2:] > error[-2:]).all())


def grouped_standard_error(values: NDArray[np.float64], weight: NDArray[np.float64], group: NDArray[np.int64]) -> float:
    """Return the standard error of the weighted mean of ``values`` over independent groups; all shapes (n,).

    It is infinite for one group, and zero without values.
    """
    if not len(values):
        return 0.0
    centered = weight * (values - values @ weight / weight.sum())
    _, group_index = np.unique(group, return_inverse=True)
    sums = np.bincount(group_index, centered)
    groups = len(sums)
    if groups < 2:
        return float("inf")
    return float(np.sqrt((sums**2).sum() * groups / (groups - 1)) / weight.sum())
