"""What decisions changed: the accuracy of the linear probe before and after, on the same untouched photos.

What a naive random split would have claimed: the probe cross-validated with copies torn apart.

Both are nested out-of-fold accuracies of the same linear probe over the same photos; only the folds differ. The
difference is measured photo by photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.context.run_context import Job
from regraft.data.manifest import Entry
from regraft.features.extract import extract
from regraft.measure.intervals import proportion
from regraft.measure.paired import accuracy_difference
from regraft.probe.linear_probe import fit_probe
from regraft.recipes.result import Outcome
from regraft.recipes.steps.solve_probe import across_runs, key_of, solved


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


def naive_claim(job: Job, outcome: Outcome) -> dict[str, Any] | None:
    """Return the figures, or None where no photos belong together: then a random split claims the same.

    Nothing is computed once the time budget is spent.
    """
    probe, entries = outcome.cross_validated, outcome.folded
    if probe is None or probe.oof is None:
        return None
    units = job.photos.units(entries)
    together = len(units) - len(set(units))
    left = job.seconds_left()
    if not together or (left is not None and left <= 0):
        return None
    y = job.photos.labels(entries)
    names = [entry.name for entry in entries]

    def solve() -> dict[str, Any]:
        found = fit_probe(
            job.features(entries),
            y,
            classes=len(job.photos.classes),
            keys=names,
            class_weight=job.config.class_weight,
            seed=job.config.seed,
        )
        return {"oof": found.oof}

    random = solved(across_runs(job, key_of(job, entries, names, nested=True)), solve)["oof"]
    right = [int((p.argmax(axis=1) == y).sum()) for p in (random, probe.oof)]
    return {
        "how": "nested out-of-fold accuracy of the linear probe, each file dealt to a fold by itself",
        "n": len(entries),
        "beside_another": together,
        "random": proportion(right[0], len(y)),
        "grouped": proportion(right[1], len(y)),
        "difference": accuracy_difference(random, probe.oof, y).as_dict(),
    }
