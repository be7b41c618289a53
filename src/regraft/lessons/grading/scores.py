"""Accuracy, rank-2 and log-loss of a table of probabilities, and the mistakes that change them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regraft.lessons.grading.answers import HintError, Probabilities
from regraft.randomness import generator

ROUNDING = 0.006
"""Difference of two accuracies that rounding explains."""

CHANCE = 0.02
"""Probability with which guessing may pass for a weak network."""

PERMUTATIONS = 2000

Table = NDArray[np.float64]
Labels = NDArray[np.int64]


def table_of(probabilities: Probabilities, classes: int) -> Table:
    """Return the probabilities as an array, shape (photos, classes).

    Raises:
        HintError: a photo has another number of values, or one that is not a number.
    """
    for name, row in probabilities.items():
        if len(row) != classes:
            raise HintError(
                f"The network gives {len(row)} numbers for {name}, and there are {classes} classes: "
                f"replace the head by a new layer with {classes} outputs."
            )
    table = np.array(list(probabilities.values()), dtype=np.float64)
    if not np.isfinite(table).all():
        raise HintError("Some probabilities are not numbers: the training has diverged. Take a smaller learning rate.")
    return table


def hit_bounds(table: Table, y: Labels, k: int) -> tuple[float, float]:
    """Return the share of photos whose class is among the ``k`` most probable: at least, and at most, as ties fall."""
    of_class = table[np.arange(len(y)), y][:, None]
    better, at_least = (table > of_class).sum(axis=1), (table >= of_class).sum(axis=1) - 1
    return float((at_least < k).mean()), float((better < k).mean())


def agrees(reported: float, bounds: tuple[float, float]) -> bool:
    """Return whether a reported share is within ``bounds``, but for rounding."""
    return bounds[0] - ROUNDING <= reported <= bounds[1] + ROUNDING


def rank2_mistake(reported: float, table: Table, y: Labels) -> str:
    """Return how a wrong rank-2 accuracy was probably computed, as a sentence."""
    if agrees(reported, hit_bounds(table, y, 1)):
        return "You have counted the most probable class only; take the two most probable ones."
    first, second = hit_bounds(table, y, 1)[1], hit_bounds(table, y, 2)[1]
    if abs(reported - (second - first)) <= ROUNDING:
        return "You have counted the second class only; photos whose class is the first one count too."
    for k in range(3, table.shape[1]):
        if agrees(reported, hit_bounds(table, y, k)):
            return f"You have counted the {k} most probable classes; take two."
    if agrees(reported, hit_bounds(-table, y, 2)):
        return "You have taken the two least probable classes; sort the other way round."
    return "A photo counts if its class is one of the two most probable ones."


def ranks_better_than_guessing(table: Table, y: Labels) -> bool:
    """Return whether the classes of the photos get higher probabilities than classes dealt at random.

    A weak network with few photos often has too few hits to tell it from guessing, but puts the right class near the
    top. This is a permutation test of the mean rank, at the level `CHANCE`.
    """
    better = (table[:, None, :] > table[:, :, None]).sum(axis=2)
    equal = (table[:, None, :] == table[:, :, None]).sum(axis=2)
    places, rows = better + equal / 2, np.arange(len(y))
    dealt = generator("grading", len(y)).permuted(np.tile(y, (PERMUTATIONS, 1)), axis=1)
    as_low = (places[rows, dealt].mean(axis=1) <= places[rows, y].mean() + 1e-9).sum()
    return bool((1 + as_low) / (1 + PERMUTATIONS) < CHANCE)


def log_loss(table: Table, y: Labels) -> float:
    """Return the mean of -log(probability of the class); logits and percentages become probabilities first."""
    sums = table.sum(axis=1)
    if (table < 0).any() or not np.allclose(sums, sums.mean(), rtol=0.02):
        table = np.exp(table - table.max(axis=1, keepdims=True))
    table = table / table.sum(axis=1, keepdims=True)
    return float(-np.log(np.maximum(table[np.arange(len(y)), y], 1e-7)).mean())


def best_order(table: Table, y: Labels) -> list[int] | None:
    """Return the column that holds each class if the columns have another order in which most photos are right."""
    classes = table.shape[1]
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (table.argmax(axis=1), y), 1)
    order: list[int] = counts.argmax(axis=0).tolist()
    is_order = sorted(order) == list(range(classes)) and order != list(range(classes))
    enough = len(y) >= 2 * classes and counts.max(axis=0).sum() >= 0.7 * len(y)
    return order if is_order and enough else None


def columns(names: Sequence[str], order: Sequence[int]) -> list[str]:
    """Return the names in the order of their columns: column ``order[c]`` holds class ``c``."""
    return [names[order.index(column)] for column in range(len(names))]
