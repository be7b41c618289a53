"""The linear probe as a step: every recipe starts with it and is compared with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from regraft.data.manifest import Entry
from regraft.models.classifier import Classifier
from regraft.probe.probe import STEPS, Probe, fit_probe
from regraft.probe.solver import Solution
from regraft.process import give_back_memory
from regraft.recipes.job import Job


def solve_probe(job: Job, entries: Sequence[Entry], *, nested: bool, label: str = "probe") -> Probe:
    """Fit the linear probe on the frozen features of ``entries`` and say how good it is out of fold.

    Args:
        job: the training in progress.
        entries: photos to fit and cross-validate on; copies and groups never straddle a fold.
        nested: whether to compute the nested out-of-fold probabilities, which no choice has looked at.
        label: what to call it on screen.
    """
    units = job.photos.units(entries)

    def solve() -> dict[str, Any]:
        features = job.features(entries)
        with job.screen.progress(label, STEPS, unit="steps") as bar:
            found = fit_probe(
                features,
                job.photos.labels(entries),
                classes=len(job.photos.classes),
                groups=units,
                keys=[entry.content for entry in entries],
                class_weight=job.config.class_weight,
                seed=job.config.seed,
                nested=nested,
                bar=bar,
            )
        give_back_memory()
        return asdict(found)

    known = job.remembered(f"probe-{label}", _key(job, entries, units, nested), solve)
    probe = Probe(**{**known, "solution": Solution(**known["solution"])})
    job.note_once("probe", "photos", "label", label=label, photos=len(entries), **probe.choice)
    if nested:
        figure = f"{100 * probe.cv_accuracy:.1f} % ± {100 * probe.cv_accuracy_error:.1f}"
        job.screen.line(
            label, f"{figure} out of fold, {len(entries):,} photos", f"C = {probe.C:.2g}, chosen by cross-validation"
        )
    return probe


def _key(job: Job, entries: Sequence[Entry], units: Sequence[Hashable] | None, nested: bool) -> str:
    """Return a text that changes with everything that the probe depends on."""
    rows = [[e.content, e.label, str(u)] for e, u in zip(entries, units or [None] * len(entries), strict=True)]
    facts = [job.backbone.weights_hash(), job.photos.classes, job.config.class_weight, job.config.seed, nested, rows]
    return hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogatepass")).hexdigest()


def probe_classifier(job: Job, probe: Probe) -> Classifier:
    """Return a classifier of the job's own frozen backbone with the probe as its head."""
    classifier = Classifier(job.backbone, job.photos.classes, own=True)
    classifier.set_head(torch.from_numpy(np.array(probe.weight)), torch.from_numpy(np.array(probe.bias)))
    return classifier
