"""The learning curve of a run: the linear probe on 25, 50 and 100 % of its training photos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.disk.row_table import take
from regraft.measure.intervals import figure, proportion
from regraft.measure.learning_curve import MORE, expected_gains
from regraft.probe.folds import make_folds
from regraft.probe.probe_data import ProbeData, predict
from regraft.randomness import derive
from regraft.recipes.result import RecipeResult
from regraft.recipes.steps.probe_cache import get_or_solve
from regraft.recipes.steps.solve_probe import cross_run_key, digest

FEWER = (0.25, 0.5)
"""Shares of the training photos on which the probe is solved again; that of the run has all of them."""

SHARES = (*FEWER, 1.0)
VERSION = "curve1"
"""Version of the procedure, part of the key of cached curves."""

MAX_ROWS = 20_000
"""Training photos above which there is no learning curve: its fits would take minutes."""


def learning_curve(context: RunContext, result: RecipeResult) -> dict[str, Any] | None:
    """Return the learning curve for ``metrics.json``; None if it does not apply, or the budget is spent.

    The regularization is the one that the run chose, and the last point is the probe of the run. Photos to measure on
    are those of the headline figure: test photos, or all photos by cross-validation in which groups share a fold.
    """
    held_out = result.parts.test if not result.headline_out_of_fold else []
    pool = result.out_of_fold_photos if result.headline_out_of_fold else result.parts.train_and_validation
    seconds = context.decisions.seconds_left()
    if context.config.all_depths or len(pool) > MAX_ROWS or (seconds is not None and seconds <= 0):
        return None
    measured = held_out or pool
    if min(len(measured), len(pool)) < 2 * len(context.dataset.classes):
        return None
    y = context.dataset.labels(measured)
    whole = _probabilities(context, result, held_out)
    if whole is None:
        return None
    fewer = _cached(context, pool, held_out, result.probe.C)
    right = np.column_stack([fewer, whole.argmax(axis=1)]) == y[:, None]
    training = np.bincount(context.dataset.labels(pool), minlength=len(context.dataset.classes)).tolist()
    return {
        "how": "the linear probe on a part of the training photos of each class, with the regularization of the run",
        "photos": str(result.parts.test_side) if held_out else "out-of-fold",
        "n": len(measured),
        "points": [
            {"share": share, "training": _size(training, share), "accuracy": proportion(int(hits.sum()), len(y))}
            for share, hits in zip(SHARES, right.T, strict=True)
        ],
        "more": MORE,
        "gains": _gains(context, right, y, training),
    }


def _probabilities(context: RunContext, result: RecipeResult, held_out: Sequence[Entry]) -> NDArray[np.float64] | None:
    """Return the probabilities of the run's own probe for the measured photos, shape (n, k); None if it has none."""
    if held_out:
        return result.probe.probabilities(context.features.of(held_out))
    return None if result.cross_validated_probe is None else result.cross_validated_probe.oof


def _size(training: Sequence[int], share: float) -> int:
    return sum(math.ceil(share * photos) for photos in training)


def _gains(
    context: RunContext, right: NDArray[np.bool_], y: NDArray[np.int64], training: Sequence[int]
) -> list[dict[str, Any]]:
    gains = expected_gains(right, y, SHARES, training)
    return [
        {
            "label": label,
            "training": photos,
            "recall": figure(None, 0, None, "there are no photos of this class")
            if gain is None
            else figure(gain.value, gain.n, gain.interval),
        }
        for label, photos, gain in zip(context.dataset.classes, training, gains, strict=True)
    ]


def _cached(context: RunContext, pool: Sequence[Entry], held_out: Sequence[Entry], C: float) -> NDArray[np.int64]:
    """Return the predicted class of each measured photo for each of `FEWER`, shape (n, 2), int64."""
    rows = [[[e.content, e.label] for e in part] for part in (pool, held_out)]
    facts = [VERSION, context.features.weights, context.features.preprocessing, context.config.class_weight]
    key = digest([*facts, FEWER, C, context.config.seed, context.dataset.units(pool), rows])
    solve = _held_out if held_out else _cross_validated
    predicted: NDArray[np.int64] = get_or_solve(
        cross_run_key(context, key), lambda: {"predicted": solve(context, pool, held_out, C)}
    )["predicted"]
    return predicted


def _held_out(context: RunContext, pool: Sequence[Entry], held_out: Sequence[Entry], C: float) -> NDArray[np.int64]:
    train, test = context.features.of(pool), context.features.of(held_out)
    return np.stack([_predicted(context, pool, train, test, share, C) for share in FEWER], axis=1)


def _cross_validated(context: RunContext, pool: Sequence[Entry], _: Sequence[Entry], C: float) -> NDArray[np.int64]:
    features, out = context.features.of(pool), np.zeros((len(pool), len(FEWER)), dtype=np.int64)
    labels, contents = context.dataset.labels(pool), [entry.content for entry in pool]
    folds = make_folds(labels, contents, context.dataset.units(pool), seed=context.config.seed)
    for fold in range(folds.count):
        inside, outside = np.flatnonzero(folds.fold_of_row == fold), np.flatnonzero(folds.fold_of_row != fold)
        entries, train, test = [pool[row] for row in outside.tolist()], take(features, outside), take(features, inside)
        for column, share in enumerate(FEWER):
            out[inside, column] = _predicted(context, entries, train, test, share, C)
    return out


def _predicted(
    context: RunContext,
    entries: Sequence[Entry],
    train: NDArray[np.float32],
    test: NDArray[np.float32],
    share: float,
    C: float,
) -> NDArray[np.int64]:
    """Return the predicted class of each row of ``test`` after training on a share of each class, shape (n,)."""
    labels = context.dataset.labels(entries)
    rows = _share_of_each_class(entries, labels, share, context.config.seed)
    present, y = np.unique(labels[rows], return_inverse=True)
    if len(present) == 1:
        return np.full(len(test), present[0])
    keys = [entries[row].content for row in rows.tolist()]
    data = ProbeData.sorted_by_key(
        take(train, rows), y, len(present), None, keys, context.config.class_weight, context.config.seed
    )
    _, weight, bias = data.solve(C, None)
    chosen: NDArray[np.int64] = predict(test, np.arange(len(test)), weight, bias, data.ranges.bounds()).argmax(axis=1)
    return present[chosen]


def _share_of_each_class(
    entries: Sequence[Entry], labels: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.int64]:
    """Return the rows of a share of each class, at least one; a smaller share is part of a larger one."""
    draws = [(derive("learning curve", seed, entry.content), entry.name) for entry in entries]
    chosen = list[int]()
    for label in np.unique(labels).tolist():
        rows = sorted(np.flatnonzero(labels == label).tolist(), key=draws.__getitem__)
        chosen += rows[: math.ceil(share * len(rows))]
    return np.array(sorted(chosen), dtype=np.int64)
