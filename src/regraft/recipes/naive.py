"""What a naive random split would have claimed: the probe cross-validated with copies torn apart.

Both are nested out-of-fold accuracies of the same linear probe over the same photos; only the folds differ. The
difference is measured photo by photo.
"""

from __future__ import annotations

from typing import Any

from regraft.measure.intervals import proportion
from regraft.measure.paired import accuracy_difference
from regraft.probe.linear_probe import fit_probe
from regraft.recipes.job import Job
from regraft.recipes.outcome import Outcome
from regraft.recipes.probing import across_runs, key_of
from regraft.recipes.solved import solved


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
