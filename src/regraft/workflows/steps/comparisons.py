"""Comparisons of the linear probe: before and after decisions, duplicates on both sides of the split, fewer photos.

The figures of the first two are nested out-of-fold accuracies of the same linear probe on the same photos; only the
folds or the labels differ. The difference is measured photo by photo.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.audit.series import SeriesEffect, SeriesTest, clearest
from regraft.context.dataset import Dataset
from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.measure.intervals import proportion
from regraft.measure.paired import accuracy_difference
from regraft.probe.linear_probe import fit_probe
from regraft.recipes.result import RecipeResult
from regraft.recipes.steps.probe_cache import get_or_solve
from regraft.recipes.steps.solve_all_depths import all_depths_key, fit_all_depths
from regraft.recipes.steps.solve_probe import cross_run_key, digest, probe_key
from regraft.workflows.steps.learning_curve import learning_curve


@dataclass(frozen=True)
class Comparisons:
    """Figures for ``metrics.json``, each None where it does not apply.

    Attributes:
        decisions: the accuracy before and after the user's decisions.
        naive_split: the accuracy that a random split would have reported.
        learning_curve: the accuracy with fewer training photos, and what more of them are expected to gain.
        series: the loss of accuracy where photos that were probably taken together stay together.
    """

    decisions: dict[str, Any] | None
    naive_split: dict[str, Any] | None
    learning_curve: dict[str, Any] | None
    series: dict[str, Any] | None


def compare(context: RunContext, result: RecipeResult) -> Comparisons:
    """Return all comparisons of a run."""
    return Comparisons(
        decision_effect(context),
        random_split_gap(context, result),
        learning_curve(context, result),
        series_loss(context, result),
    )


def decision_effect(context: RunContext) -> dict[str, Any] | None:
    """Return the accuracy before and after decisions, or None without decisions or comparable photos.

    Both probes are cross-validated (nested, duplicates together); they differ in the photos that were dropped and in
    the labels that were changed. Only photos that no decision touched are counted.
    """
    old_labels, after = context.dataset.labels_before_decisions, context.dataset.usable
    if not old_labels:
        return None
    entries = context.dataset.manifest.entries
    dropped = [entry for entry in entries if entry.name in old_labels and entry.status != "ok"]
    readable, values = context.features.of_readable(dropped)
    before = [*after, *readable]
    features = np.concatenate([context.features.of(after), values])
    labels_before = [old_labels.get(entry.name, entry.label) for entry in before]
    labels_after = [entry.label for entry in after]
    classes = sorted({*labels_before, *labels_after})
    old = _out_of_fold(context, features, before, labels_before, classes)
    new = _out_of_fold(context, features[: len(after)], after, labels_after, classes)
    untouched = np.array([entry.name not in old_labels for entry in after])
    if old is None or new is None or not untouched.any():
        return None
    y = np.array([classes.index(label) for label in labels_after])[untouched]
    old, new = old[: len(after)][untouched], new[untouched]
    return {
        "dropped": len(dropped),
        "relabelled": len(old_labels) - len(dropped),
        "n": len(y),
        "how": "nested out-of-fold accuracy of the linear probe on the photos that no decision touched",
        "before": proportion(_correct(old, y), len(y)),
        "after": proportion(_correct(new, y), len(y)),
        "difference": accuracy_difference(new, old, y).as_dict(),
    }


def random_split_gap(context: RunContext, result: RecipeResult) -> dict[str, Any] | None:
    """Return the accuracy that a random split would report, or None without duplicates.

    Without duplicates it would be the same. The result is None, too, if the budget is spent.
    """
    probe, entries = result.cross_validated_probe, result.out_of_fold_photos
    if probe is None or probe.oof is None:
        return None
    units = context.dataset.units(entries)
    duplicates = len(units) - len(set(units))
    left = context.decisions.seconds_left()
    if not duplicates or (left is not None and left <= 0):
        return None
    y = context.dataset.labels(entries)
    names = [entry.name for entry in entries]

    def solve() -> dict[str, Any]:
        if context.config.all_depths:
            return {"oof": fit_all_depths(context, entries, groups=None, keys=names).oof}
        random_probe = fit_probe(
            context.features.of(entries),
            y,
            classes=len(context.dataset.classes),
            keys=names,
            class_weight=context.config.class_weight,
            seed=context.config.seed,
        )
        return {"oof": random_probe.oof}

    key = (all_depths_key if context.config.all_depths else probe_key)(context, entries, names, nested=True)
    random = get_or_solve(cross_run_key(context, key), solve)["oof"]
    return {
        "how": "nested out-of-fold accuracy of the linear probe, each file dealt to a fold by itself",
        "n": len(entries),
        "beside_another": duplicates,
        "random": proportion(_correct(random, y), len(y)),
        "grouped": proportion(_correct(probe.oof, y), len(y)),
        "difference": accuracy_difference(random, probe.oof, y).as_dict(),
    }


def series_loss(context: RunContext, result: RecipeResult) -> dict[str, Any] | None:
    """Return the loss of accuracy of the linear probe in blocks of photos that were probably taken together.

    None if the photos came with a split, are too few, have no order, or if the budget is spent.
    """
    probe, entries = result.cross_validated_probe, result.out_of_fold_photos
    left = context.decisions.seconds_left()
    if probe is None or context.dataset.given or (left is not None and left <= 0):
        return None
    units, times = context.dataset.units(entries), context.dataset.capture_times
    own_times = [times.get(entry.content, math.nan) for entry in entries]
    seed = context.config.seed

    def measure() -> dict[str, Any]:
        effects = series_effects(context.dataset, entries, context.features.of(entries), own_times, probe.C, seed)
        best = clearest(effects)
        return {"tested": [effect.as_dict() for effect in effects], "group_by": None if best is None else best.rule}

    names = [[entry.name, times.get(entry.content)] for entry in entries]
    key = digest(["series2", probe_key(context, entries, units, nested=False), probe.C, names])
    measured = get_or_solve(cross_run_key(context, key), measure)
    if not measured["tested"]:
        return None
    return {"how": "accuracy of the linear probe in random folds and in blocks, with equally many photos", **measured}


def series_effects(
    dataset: Dataset,
    entries: Sequence[Entry],
    features: NDArray[np.float32],
    times: Sequence[float],
    C: float,
    seed: int = 0,
) -> list[SeriesEffect]:
    """Return the losses of accuracy in blocks of photos that were probably taken together; see `SeriesTest`."""
    labels, units = dataset.labels(entries), dataset.units(entries)
    return SeriesTest(entries, times, features, labels, units, C, seed).effects()


def _out_of_fold(
    context: RunContext,
    features: NDArray[np.float32],
    entries: Sequence[Entry],
    labels: Sequence[str],
    classes: Sequence[str],
) -> NDArray[np.float64] | None:
    """Return out-of-fold probabilities over ``classes``, shape (n, k); None with fewer than two labels."""
    present = sorted(set(labels))
    if len(present) < 2:
        return None
    duplicate_group = context.dataset.duplicate_group
    probe = fit_probe(
        features,
        [present.index(label) for label in labels],
        classes=len(present),
        groups=[entry.group or duplicate_group.get(entry.content, entry.content) for entry in entries],
        keys=[entry.content for entry in entries],
        seed=context.config.seed,
    )
    if probe.oof is None:
        return None
    out = np.zeros((len(entries), len(classes)))
    out[:, [classes.index(name) for name in present]] = probe.oof
    return out


def _correct(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> int:
    return int((probabilities.argmax(axis=1) == labels).sum())
