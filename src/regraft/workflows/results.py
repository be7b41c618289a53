"""The end of a training: save the classifier, read it back, and measure it with the code that users predict with.

A finished model that cannot be written where it should be goes somewhere else, and is not lost.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.context.dataset import say_aside
from regraft.context.run_context import Job
from regraft.data.manifest import Entry
from regraft.disk.atomic import write_json, write_text
from regraft.errors import StorageError
from regraft.inference.predictor import Predictor
from regraft.measure.metrics import classification_report
from regraft.models.model_file import save_classifier
from regraft.recipes.result import Outcome
from regraft.recipes.steps.solve_probe import probe_classifier
from regraft.run.folder import FORMAT
from regraft.workflows.comparisons import effect_of_decisions, naive_claim

OUT_OF_FOLD = "nested out-of-fold: each photo by a probe whose fitting and regularisation never saw it"
FROZEN = ("linear-probe", "feature-extraction")
"""What may be chosen that leaves the backbone as it was."""

RELOADED = "model.safetensors read back and run by predict's own code"


def finish(job: Job, outcome: Outcome) -> dict[str, Any]:
    """Write the model, `freeze.json`, `manifest.csv`, `predictions.csv` and `metrics.json`; return the last."""
    save_classifier(job.folder.model, outcome.classifier, facts_of(job, outcome))
    write_json(job.folder.freeze, {"format": FORMAT, "blocks": outcome.freeze})
    measured: dict[str, Any] = {}
    rows: list[list[Any]] = []
    if outcome.parts.report_side is not None:
        measured, rows = _on_report(job, outcome)
    measured |= _out_of_fold(job, outcome)
    if outcome.headline_out_of_fold:  # fitted on every photo: none of them is a test photo, whatever was planned
        for entry in outcome.folded:
            entry.side = "train"
        rows = _rows(job, outcome.folded, _folded_probabilities(outcome))
    metrics = {
        "format": FORMAT,
        "recipe": job.config.recipe,
        "chosen": outcome.chosen,
        "classes": list(job.photos.classes),
        "headline": f"final/{'out-of-fold' if outcome.headline_out_of_fold else outcome.parts.report_side}",
        "training": {
            "photos": len(outcome.parts.refit if outcome.chosen == "linear-probe" else outcome.parts.train),
            **outcome.said,
        },
        "measured": measured,
    }
    effect = effect_of_decisions(job)
    if effect is not None:
        metrics["decisions"] = effect
    claim = naive_claim(job, outcome)
    if claim is not None:
        metrics["naive_split"] = claim
    job.photos.manifest.write(job.folder.manifest)
    write_text(job.folder.predictions, _csv(rows))
    write_json(job.folder.metrics, metrics)
    return metrics


def facts_of(job: Job, outcome: Outcome) -> dict[str, str]:
    """Return what a model file says of how the classifier came about, and of how it predicts."""
    said = {"recipe": job.config.recipe, "chosen": outcome.chosen}
    if outcome.views > 1:
        said["views"] = str(outcome.views)
    if outcome.chosen in FROZEN:  # so that whoever uses it computes the features that the head was made for
        said["engine"] = job.engine.title
    return said


def _on_report(job: Job, outcome: Outcome) -> tuple[dict[str, Any], list[list[Any]]]:
    """Measure the saved file and the linear probe on the photos that were held back."""
    side, entries = outcome.parts.report_side, outcome.parts.report
    predictor = Predictor.load(job.folder.model, device=job.device.type, workers=job.workers)
    with job.screen.progress("measure", predictor.views * len(entries)) as bar:
        scores = predictor.scores(entries, store=job.store, bar=bar)
    if scores.failed:
        for position, why in scores.failed:
            job.photos.manifest.set_aside(entries[position], why)
        say_aside([entries[position] for position, _ in scores.failed], job.screen)
    seen = [entries[int(row)] for row in scores.rows]
    beside, how = scores.values, RELOADED
    if outcome.chosen != "linear-probe":
        frozen = probe_classifier(job, outcome.probe)
        probe = Predictor(frozen, device=job.device.type, workers=job.workers, engine=job.engine.title, own=True)
        beside, how = probe.scores(seen, store=job.store).values, "frozen features"
    chosen_on = outcome.parts.report_is_chosen_on
    measured = {
        f"final/{side}": _entry(job, "final", str(side), seen, scores.values, RELOADED, chosen_on),
        f"linear-probe/{side}": _entry(job, "linear-probe", str(side), seen, beside, how, False),
    }
    return measured, _rows(job, seen, scores.values)


def _out_of_fold(job: Job, outcome: Outcome) -> dict[str, Any]:
    if outcome.cross_validated is None or outcome.cross_validated.oof is None:
        return {}
    values = _folded_probabilities(outcome)
    looked = "views_compared" in outcome.cross_validated.choice  # whether to pool views was decided by these figures
    entry = _entry(job, "linear-probe", "out-of-fold", outcome.folded, values, OUT_OF_FOLD, looked)
    measured = {"linear-probe/out-of-fold": entry}
    if outcome.headline_out_of_fold:
        measured["final/out-of-fold"] = {**entry, "model": "final"}
    return measured


def _folded_probabilities(outcome: Outcome) -> NDArray[np.float64]:
    assert outcome.cross_validated is not None
    assert outcome.cross_validated.oof is not None
    return np.asarray(outcome.cross_validated.oof, dtype=np.float64)


def _entry(
    job: Job,
    model: str,
    photos: str,
    entries: Sequence[Entry],
    values: NDArray[np.float64],
    how: str,
    chosen_on: bool,
) -> dict[str, Any]:
    return {
        "model": model,
        "photos": photos,
        "n": len(entries),
        "used_for_choosing": chosen_on,
        "how": how,
        "figures": classification_report(values, job.photos.labels(entries), job.photos.classes),
    }


def _rows(job: Job, entries: Sequence[Entry], values: NDArray[np.float64]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for entry, label, row in zip(entries, job.photos.labels(entries), values, strict=True):
        best = int(np.argmax(row))
        rows.append(
            [
                entry.name,
                entry.side or "",
                entry.label,
                job.photos.classes[best],
                f"{row[best]:.6f}",
                f"{row[label]:.6f}",
            ]
        )
    return rows


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["path", "split", "class", "predicted", "probability", "probability_of_class"])
    writer.writerows(rows)
    return out.getvalue()


def rescued(job: Job, outcome: Outcome, error: OSError) -> StorageError:
    """Write the model into ``--rescue-dir``, or else the system's folder for temporary files.

    Args:
        job: the training, which has come to its end.
        outcome: what it gave.
        error: why it could not be written into the run folder.

    Returns:
        The error to raise; its message says where the model is now.
    """
    why = error.strerror or str(error)
    tried = [f"{job.folder.path}: {why}"]
    for base in (job.config.rescue_dir, Path(tempfile.gettempdir())):
        if base is None:
            continue
        try:
            base.mkdir(parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(prefix=f"{job.folder.path.name}-", dir=base)) / "model.safetensors"
            save_classifier(path, outcome.classifier, facts_of(job, outcome))
        except OSError as other:
            tried.append(f"{base}: {other.strerror or other}")
            continue
        return StorageError(
            f"the result could not be written to {job.folder.path}: {why}\n  the trained model is in {path} instead"
            f"\n  with room on the disk, the same command writes the rest in a moment"
        )
    return StorageError("the trained model could not be written anywhere\n  " + "\n  ".join(tried))
