"""What decisions changed: the accuracy of the linear probe before and after, on the same untouched photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.manifest import Entry
from regraft.features.extract import extract
from regraft.measure.intervals import proportion
from regraft.measure.paired import accuracy_difference
from regraft.probe.linear_probe import fit_probe
from regraft.recipes.job import Job


def effect_of_decisions(job: Job) -> dict[str, Any] | None:
    """Return the figures, or None where nothing was decided or nothing can be compared.

    Both probes are cross-validated (nested, copies together); they differ in the photos that were dropped and in the
    labels that were changed. Only photos that no decision touched are counted.
    """
    labels = job.photos.undecided
    if not labels:
        return None
    after = job.photos.usable
    dropped = [entry for entry in job.photos.manifest.entries if entry.name in labels and entry.status != "ok"]
    found = extract(dropped, job.backbone, job.engine, job.store, weights=job.weights, workers=job.workers)
    before = [*after, *(dropped[int(row)] for row in found.rows)]
    features = np.concatenate([job.features(after), found.values])
    classes = sorted({labels.get(entry.name, entry.label) for entry in before} | {entry.label for entry in after})
    old = _held_out(job, features, before, [labels.get(entry.name, entry.label) for entry in before], classes)
    new = _held_out(job, features[: len(after)], after, [entry.label for entry in after], classes)
    same = np.array([entry.name not in labels for entry in after])
    if old is None or new is None or not same.any():
        return None
    y = np.array([classes.index(entry.label) for entry in after])[same]
    old, new = old[: len(after)][same], new[same]
    return {
        "dropped": len(dropped),
        "relabelled": len(labels) - len(dropped),
        "n": len(y),
        "how": "nested out-of-fold accuracy of the linear probe on the photos that no decision touched",
        "before": proportion(int((old.argmax(axis=1) == y).sum()), len(y)),
        "after": proportion(int((new.argmax(axis=1) == y).sum()), len(y)),
        "difference": accuracy_difference(new, old, y).as_dict(),
    }


def _held_out(
    job: Job, features: NDArray[np.float32], entries: Sequence[Entry], labels: Sequence[str], classes: Sequence[str]
) -> NDArray[np.float64] | None:
    """Return out-of-fold probabilities over ``classes``, shape (n, k); None where there are fewer than two."""
    present = sorted(set(labels))
    if len(present) < 2:
        return None
    alike = job.photos.alike
    probe = fit_probe(
        features,
        [present.index(label) for label in labels],
        classes=len(present),
        groups=[entry.group or alike.get(entry.content, entry.content) for entry in entries],
        keys=[entry.content for entry in entries],
        seed=job.config.seed,
    )
    if probe.oof is None:
        return None
    out = np.zeros((len(entries), len(classes)))
    out[:, [classes.index(name) for name in present]] = probe.oof
    return out
