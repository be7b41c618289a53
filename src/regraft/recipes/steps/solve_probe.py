"""Solved probes, kept beside the features that they were solved from: the same photos are never solved again.

A file each, in the cache folder; whatever cannot be read is solved again, and what was used least recently goes.

The linear probe as a step: every recipe starts with it and is compared with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
import torch

from regraft.cache_dir import PROBES, cache_folder, files_by_use
from regraft.context.run_context import Job
from regraft.data.fixed_views import view_name
from regraft.data.manifest import Entry
from regraft.disk.row_table import stacked
from regraft.errors import ModelFileError
from regraft.features.machine_facts import machine_id
from regraft.measure.paired import log_loss_difference
from regraft.models.classifier import Classifier
from regraft.probe.linear_probe import PROBE_STEPS, SOLVER, Probe, fit_probe
from regraft.probe.model_selection import grouped_standard_error
from regraft.probe.solver import Solution
from regraft.process import release_freed_memory
from regraft.training.state_format import read_state, write_state

MOST = 256
"""Solved probes that are kept."""

LARGEST = 4 << 20
"""Bytes of arrays in the largest that is: those of many photos would fill a disk, and their features take longer."""


def solved(key: str, solve: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what ``solve`` gives, or gave to an earlier run.

    Args:
        key: hexadecimal digits that change with everything that the solution depends on.
        solve: returns figures, texts, arrays, and lists and dicts of such.
    """
    path = cache_folder() / PROBES[0] / f"{key}.safetensors"
    try:
        known = dict(read_state(path)["value"])
        with contextlib.suppress(OSError):
            path.touch()
        return known
    except (ModelFileError, KeyError):  # not there yet, or damaged
        pass
    value = solve()
    if _bytes(value) > LARGEST:
        return value
    with contextlib.suppress(OSError):  # a disk that refuses means solving again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_state(path, {"value": value})
        for old in files_by_use(*PROBES)[:-MOST]:
            old.unlink()
    return value


def _bytes(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(_bytes(part) for part in value.values())
    return int(getattr(value, "nbytes", 0))


def solve_probe(job: Job, entries: Sequence[Entry], *, nested: bool, label: str = "probe", views: int = 1) -> Probe:
    """Fit the linear probe on the frozen features of ``entries`` and say how good it is out of fold.

    Args:
        job: the training in progress.
        entries: photos to fit and cross-validate on; copies and groups never straddle a fold.
        nested: whether to compute the nested out-of-fold probabilities, which no choice has looked at.
        label: what to call it on screen.
        views: of each photo; more than one are pooled where that lowers the out-of-fold log-loss of the plain photos
            by more than a standard error, which those figures have then been used to choose.
    """
    probe = _solved(job, entries, nested=nested, label=label, views=1)
    if views > 1 and probe.oof is not None:
        probe = _pooled(job, entries, probe, label, views)
    if nested:
        figure = f"{100 * probe.cv_accuracy:.1f} % ± {100 * probe.cv_accuracy_error:.1f}"
        job.screen.line(
            label, f"{figure} out of fold, {len(entries):,} photos", f"C = {probe.C:.2g}, chosen by cross-validation"
        )
    return probe


def _pooled(job: Job, entries: Sequence[Entry], plain: Probe, label: str, views: int) -> Probe:
    """Return the probe of all views together where it is better than that of the plain ones, else the latter."""
    assert plain.oof is not None
    y = job.photos.labels(entries)
    pooled = _solved(job, entries, nested=True, label=f"{label}, {views} views", views=views)
    assert pooled.oof is not None
    oof = pooled.oof[: len(entries)]
    difference = log_loss_difference(plain.oof, oof, y)
    better = difference.value > difference.standard_error
    change = f"{'falls' if difference.value > 0 else 'rises'} by {abs(difference.value):.3f}"
    job.note_once(
        "views", "label", label=label, views=views, gain=difference.value, kept="pooled" if better else "plain"
    )
    job.screen.line(
        "views",
        f"{f'{views} of each photo are pooled' if better else 'the plain one alone is kept'}",
        f"(out-of-fold log-loss {change} ± {difference.standard_error:.3f} with {views})",
    )
    compared = {"views_compared": views}
    if not better:
        return replace(plain, choice=plain.choice | compared)
    right = (oof.argmax(axis=1) == y).astype(np.float64)
    unit = np.unique(job.photos.units(entries), return_inverse=True)[1]
    error = grouped_standard_error(right, np.ones(len(right)), unit)
    return replace(
        pooled, oof=oof, choice=pooled.choice | compared, cv_accuracy=float(right.mean()), cv_accuracy_error=error
    )


def _solved(job: Job, entries: Sequence[Entry], *, nested: bool, label: str, views: int) -> Probe:
    units = job.photos.units(entries)

    def solve() -> dict[str, Any]:
        features = stacked([job.features(entries, view) for view in range(views)])
        with job.screen.progress("probe", PROBE_STEPS, unit="steps") as bar:
            found = fit_probe(
                features,
                np.tile(job.photos.labels(entries), views),
                classes=len(job.photos.classes),
                groups=units * views,
                keys=[entry.content for entry in entries] * views,
                class_weight=job.config.class_weight,
                seed=job.config.seed,
                nested=nested,
                bar=bar,
            )
        release_freed_memory()
        return asdict(found)

    key = key_of(job, entries, units, nested=nested, views=views)
    known = job.remembered(f"probe-{label}", key, lambda: solved(across_runs(job, key), solve))
    probe = Probe(**{**known, "solution": Solution(**known["solution"])})
    more = {} if views == 1 else {"views": views}
    job.note_once("probe", "photos", "label", label=label, photos=len(entries), **probe.choice, **more)
    return probe


def key_of(
    job: Job, entries: Sequence[Entry], units: Sequence[Hashable] | None, *, nested: bool, views: int = 1
) -> str:
    """Return hexadecimal digits that change with everything that a probe depends on.

    Args:
        job: the training in progress.
        entries: photos that it is fitted on.
        units: what is kept in one fold.
        nested: whether it has nested out-of-fold probabilities.
        views: of each photo.
    """
    rows = [[e.content, e.label, str(u)] for e, u in zip(entries, units or [None] * len(entries), strict=True)]
    facts = [
        job.engine.weights,
        job.backbone.spec.preprocessing.id,
        job.photos.classes,
        job.config.class_weight,
        job.config.seed,
        nested,
        [view_name(view) for view in range(views)],
        rows,
    ]
    return _digest(facts)


def across_runs(job: Job, key: str) -> str:
    """Return hexadecimal digits that change with ``key`` and with what may be another in another run of the same."""
    names = [f.name for kind in (Probe, Solution) for f in fields(kind)]
    return _digest([SOLVER, np.__version__, machine_id(), names, job.engine.numerics, key])


def _digest(facts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogatepass")).hexdigest()


def probe_classifier(job: Job, probe: Probe) -> Classifier:
    """Return a classifier of the job's own frozen backbone with the probe as its head."""
    classifier = Classifier(job.backbone, job.photos.classes, own=True)
    classifier.set_head(torch.from_numpy(np.array(probe.weight)), torch.from_numpy(np.array(probe.bias)))
    return classifier
