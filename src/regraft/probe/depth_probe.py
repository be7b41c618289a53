"""A linear probe on the features of the top layer and on pooled activations of lower blocks.

Evci et al. 2022, "Head2Toe", https://arxiv.org/abs/2201.03529, choose among features of all depths. Here all of them
are used, and one scale of the lower ones is chosen: each block is standardized by itself, and multiplied by the scale.
The penalty on the weights then decides how much they count. Each scale has its own regularization, and the scale is
chosen by the fall of the held-out log-loss below that of the plain probe, which has the scale zero: the fall minus two
of its standard errors must be the largest, so that a fall that may be chance leaves the plain probe.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regraft.disk.row_table import leading_columns
from regraft.probe.cross_validation import CrossValidation
from regraft.probe.feature_matrix import Float
from regraft.probe.linear_probe import PROBE_STEPS, Probe, ProbeProgress, solved_probe
from regraft.probe.model_selection import grouped_standard_error
from regraft.probe.probe_data import ProbeData
from regraft.probe.scaling import GroupScales
from regraft.probe.solver import check_inputs
from regraft.process import release_freed_memory
from regraft.screen import Bar

SCALES = (0.0, 0.1, 0.3, 1.0)
"""Scales of the lower blocks to choose from; the first one leaves them out."""

CERTAINTY = 2.0
"""Standard errors by which the gain of a scale must exceed zero. With few photos, one or two are often chance."""

DEPTH_SOLVER = "depth1"
"""Version of the choice of the scale, part of the key of every cached probe of this kind."""

DEPTH_STEPS = len(SCALES) * PROBE_STEPS
"""Steps by which `fit_depth_probe` advances its progress bar."""


@dataclass(frozen=True)
class ScaleChoice:
    """The chosen scale, and what it was chosen by.

    Attributes:
        index: position of the scale in `SCALES`.
        mean_loss: mean held-out log-loss at each scale.
        gain: fall of that loss below the plain probe's, at each scale.
        standard_error: standard error of the gain, at each scale.
    """

    index: int
    mean_loss: tuple[float, ...]
    gain: tuple[float, ...]
    standard_error: tuple[float, ...]


def fit_depth_probe(
    X: Float,
    y: NDArray[np.integer[Any]] | Sequence[int],
    *,
    sizes: Sequence[int],
    classes: int,
    groups: Sequence[Hashable] | None = None,
    keys: Sequence[str] | None = None,
    class_weight: Literal["balanced"] | None = None,
    seed: int = 0,
    bar: Bar | None = None,
) -> Probe:
    """Choose the scale of the lower blocks and the regularization by nested cross-validation, and solve on all rows.

    Args:
        X: features, shape (n, d): those of the top layer first, then those of each lower block.
        y: class of each row, shape (n,), in ``range(classes)``; every class must occur.
        sizes: number of features of the top layer and of each lower block, in their order; they sum to d.
        classes: number of classes k.
        groups: group of each row; all rows of a group are in one fold.
        keys: identifier of each row; a hash of the features if None.
        class_weight: as for `fit_probe`.
        seed: another seed gives other folds.
        bar: progress bar, advanced by `DEPTH_STEPS` in total.

    Returns:
        The probe. ``choice`` also has ``depth_scale``, ``depth_path`` with the losses of all scales, and
        ``nested_depth_scale`` for each fold. With the scale 0 it is the plain probe of the top layer, whose weights
        have the shape (k, sizes[0]); otherwise they have the shape (k, d). The model that predicts a row out of fold
        was fitted without it, and so were its scale and its C chosen.

    Raises:
        ValueError: a shape or a value is invalid, or a class has no row.
        NotConvergedError: the final fit did not reach its optimum.
    """
    if sum(sizes) != np.shape(X)[1]:
        raise ValueError(f"sizes must sum to the {np.shape(X)[1]} features, but sum to {sum(sizes)}")
    features, labels, _, _ = check_inputs(X, np.asarray(y), classes, None)
    every = ProbeData.sorted_by_key(features, labels, classes, groups, keys, class_weight, seed)
    top = replace(every, X=leading_columns(features, sizes[0]))
    scales = SCALES if every.folds.count >= 3 else SCALES[:1]  # with two folds, no scale is chosen without a fold
    rows = [_data_at(scale, top, every, sizes) for scale in scales]
    progress = ProbeProgress(bar)
    validated = [_validated(data, progress, (i + 1) * PROBE_STEPS) for i, data in enumerate(rows)]
    release_freed_memory()
    ready = [one for one in validated if one is not None]
    if len(ready) < 2:
        probe = solved_probe(top, validated[0], nested=True, class_weight=class_weight)
        progress.advance_to(DEPTH_STEPS)
        return replace(probe, choice=probe.choice | {"depth_scale": 0.0})
    choices = _chosen_scales(ready, every)
    probe = solved_probe(rows[choices[-1].index], ready[choices[-1].index], nested=True, class_weight=class_weight)
    oof = _out_of_fold(rows, ready, choices, every)
    progress.advance_to(DEPTH_STEPS)
    accuracy, error = every.accuracy(oof)
    facts = probe.choice | _facts(choices)
    return replace(probe, oof=oof, cv_accuracy=accuracy, cv_accuracy_error=error, choice=facts)


def _data_at(scale: float, top: ProbeData, every: ProbeData, sizes: Sequence[int]) -> ProbeData:
    if scale == 0.0:
        return top
    factors = (1.0, *(scale for _ in sizes[1:]))
    return replace(every, scales=GroupScales(tuple(sizes), factors))


def _validated(data: ProbeData, progress: ProbeProgress, done: int) -> CrossValidation | None:
    validated = data.cross_validate(True, progress.advance) if data.folds.count > 1 else None
    progress.advance_to(done - 2)
    return validated


def choose_scale(losses: NDArray[np.float64], weight: NDArray[np.float64], group: NDArray[np.int64]) -> ScaleChoice:
    """Choose the scale with the largest gain that is certain: its gain minus `CERTAINTY` standard errors.

    Args:
        losses: held-out loss of each row at each of `SCALES`, shape (s, n), float64.
        weight: weight of each row, shape (n,); zero ignores it.
        group: group of each row, shape (n,); rows of one group are not independent evidence.
    """
    used = weight > 0
    losses, weight, group = losses[:, used], weight[used], group[used]
    differences = losses[0] - losses
    gains = differences @ weight / weight.sum()
    errors = np.array([0.0, *(grouped_standard_error(row, weight, group) for row in differences[1:])])
    index = int(np.argmax(gains - CERTAINTY * errors))
    columns = (tuple(map(float, values)) for values in (losses @ weight / weight.sum(), gains, errors))
    return ScaleChoice(index, *columns)


def _chosen_scales(validated: Sequence[CrossValidation], data: ProbeData) -> list[ScaleChoice]:
    """Return the choice of the scale in each search: one for each outer model, the last over all folds."""
    group = data.searched_folds.group_of_row
    choices = []
    for searches in zip(*(one.searches for one in validated), strict=True):
        weight = np.min([search.weight for search in searches], axis=0)
        choices.append(choose_scale(np.stack([search.losses for search in searches]), weight, group))
    return choices


def _out_of_fold(
    rows: Sequence[ProbeData],
    validated: Sequence[CrossValidation],
    choices: Sequence[ScaleChoice],
    data: ProbeData,
) -> NDArray[np.float64]:
    """Return the probabilities of each row by the model fitted without its fold, at the scale chosen without it."""
    out = np.empty((len(data.X), data.classes))
    for index in {choice.index for choice in choices[:-1]}:
        predicted = rows[index].out_of_fold(validated[index])
        for fold, choice in enumerate(choices[:-1]):
            if choice.index == index:
                held_out = data.order[data.folds.fold_of_row == fold]
                out[held_out] = predicted[held_out]
    return out


def _facts(choices: Sequence[ScaleChoice]) -> dict[str, Any]:
    last = choices[-1]
    columns = zip(SCALES, last.mean_loss, last.gain, last.standard_error, strict=True)
    names = ("scale", "log_loss", "gain", "standard_error")
    return {
        "depth_scale": SCALES[last.index],
        "depth_path": [{n: float(f"{v:.6g}") for n, v in zip(names, row, strict=True)} for row in columns],
        "nested_depth_scale": [SCALES[choice.index] for choice in choices[:-1]],
    }
