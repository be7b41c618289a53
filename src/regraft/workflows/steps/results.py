"""The results of a run: the model is saved, read back, and measured with the code of `predict`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.context.dataset import leave_out
from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry, Manifest
from regraft.disk.atomic import write_json
from regraft.disk.csv_file import write_csv
from regraft.errors import StorageError
from regraft.inference.predictor import Predictor
from regraft.measure.metrics import classification_report
from regraft.measure.paired import accuracy_difference
from regraft.models.classifier import Classifier
from regraft.models.freeze_ledger import relative_changes
from regraft.models.model_file import save_classifier
from regraft.recipes.result import RecipeResult
from regraft.recipes.steps.solve_probe import probe_classifier
from regraft.run.folder import FORMAT
from regraft.workflows.steps.certificates import reject_thresholds, threshold_facts, warn_without_threshold
from regraft.workflows.steps.comparisons import Comparisons
from regraft.workflows.steps.photo_records import Predicted, write_photo_records

OUT_OF_FOLD = "nested out-of-fold: each photo by a probe whose fitting and regularisation never saw it"
RELOADED = "model.safetensors read back and run by predict's own code"

FROZEN = ("linear-probe", "feature-extraction")
"""Recipes that leave the backbone as it was pretrained."""


def save_model(context: RunContext, result: RecipeResult) -> None:
    """Write the model and ``freeze.json``."""
    save_classifier(context.folder.model, result.classifier, model_facts(context, result))
    changes = relative_changes(result.classifier, result.freeze, context.backbone)
    blocks = [{**row, "relative_change": change} for row, change in zip(result.freeze, changes, strict=True)]
    write_json(context.folder.freeze, {"format": FORMAT, "blocks": blocks})


def write_results(context: RunContext, result: RecipeResult, comparisons: Comparisons) -> dict[str, Any]:
    """Measure the saved model, write ``manifest.csv``, ``predictions.csv`` and ``metrics.json``; return its content.

    Args:
        context: the run; `save_model` has saved its model.
        result: the result of the recipe.
        comparisons: more figures for ``metrics.json``.
    """
    measured: dict[str, Any] = {}
    predictions = Predicted((), np.empty((0, 0)))
    if result.parts.test_side is not None:
        measured, predictions = _measure_held_out(context, result)
    measured |= _measure_out_of_fold(context, result)
    manifest = context.dataset.manifest
    if result.headline_out_of_fold:  # fitted on every photo: none is a test photo, whatever the split was
        manifest = _all_in_train(manifest, result.out_of_fold_photos)
        photos = {entry.name: entry for entry in manifest.entries}
        entries = [photos[entry.name] for entry in result.out_of_fold_photos]
        predictions = Predicted(entries, _out_of_fold_probabilities(result))
    trained_on = result.parts.refit if result.chosen == "linear-probe" else result.parts.train
    headline = f"final/{'out-of-fold' if result.headline_out_of_fold else result.parts.test_side}"
    metrics: dict[str, Any] = {
        "format": FORMAT,
        "recipe": context.config.recipe,
        "chosen": result.chosen,
        "classes": list(context.dataset.classes),
        "headline": headline,
        "training": {"photos": len(trained_on), **result.facts},
        "measured": measured,
    }
    metrics |= {name: value for name, value in vars(comparisons).items() if value is not None}
    if headline in measured:
        thresholds = metrics["reject"] = reject_thresholds(context, predictions, measured[headline])
        warn_without_threshold(thresholds, context.screen)
        if threshold_facts(thresholds):
            facts = model_facts(context, result) | threshold_facts(thresholds)
            save_classifier(context.folder.model, result.classifier, facts)
    manifest.write(context.folder.manifest)
    write_csv(context.folder.predictions, _prediction_rows(context, predictions))
    write_photo_records(context, result, predictions)
    write_json(context.folder.metrics, metrics)
    return metrics


def model_facts(context: RunContext, result: RecipeResult) -> dict[str, str]:
    """Return the facts in the model file: how the classifier was trained, and how it predicts."""
    facts = {"recipe": context.config.recipe, "chosen": result.chosen}
    if result.views > 1:
        facts["views"] = str(result.views)
    if result.chosen in FROZEN and isinstance(result.classifier, Classifier):
        engine = result.classifier.facts.get("engine", context.features.engine.title)
        facts["engine"] = engine  # the head was fitted on its features; members have their own
    return facts


def _all_in_train(manifest: Manifest, entries: Sequence[Entry]) -> Manifest:
    """Return a copy of the manifest in which ``entries`` are training photos."""
    names = {entry.name for entry in entries}
    copies = [replace(entry, side="train") if entry.name in names else entry for entry in manifest.entries]
    return replace(manifest, entries=copies)


def _measure_held_out(context: RunContext, result: RecipeResult) -> tuple[dict[str, Any], Predicted]:
    """Return the figures of the saved file and of the linear probe on the test photos, and its predictions."""
    side, entries, device = result.parts.test_side, result.parts.test, context.device.type
    predictor = Predictor.load(context.folder.model, device=device, workers=context.workers)
    with context.screen.progress("measure", predictor.passes * len(entries)) as bar:
        scores = predictor.scores(entries, store=context.store, bar=bar)
    leave_out(context.dataset.manifest, [(entries[row], why) for row, why in scores.failed], context.screen)
    measured_photos = [entries[int(row)] for row in scores.rows]
    final = Predicted(measured_photos, scores.values)
    probe, how = final, RELOADED
    if result.chosen != "linear-probe" or result.out_of_fold is not None:
        classifier = probe_classifier(context, result.probe)
        frozen = Predictor(classifier, device=device, workers=context.workers, own=True)
        probabilities = frozen.scores(measured_photos, store=context.store).values
        probe, how = replace(final, probabilities=probabilities), "frozen features"
    used = result.parts.test_is_validation
    measured = {
        f"final/{side}": _measurement(context, "final", str(side), final, RELOADED, used),
        f"linear-probe/{side}": _measurement(context, "linear-probe", str(side), probe, how, False),
    }
    if probe is not final and measured_photos:
        labels = context.dataset.labels(measured_photos)
        difference = accuracy_difference(final.probabilities, probe.probabilities, labels)
        measured[f"final/{side}"]["over_linear_probe"] = difference.as_dict()
    return measured, final


def _measure_out_of_fold(context: RunContext, result: RecipeResult) -> dict[str, Any]:
    """Return the figures of the cross-validated linear probe, if there is one."""
    probe = result.cross_validated_probe
    if probe is None or probe.oof is None:
        return {}
    predictions = Predicted(result.out_of_fold_photos, np.asarray(probe.oof, dtype=np.float64))
    used = "views_compared" in probe.choice  # these figures decided whether to pool views
    entry = _measurement(context, "linear-probe", "out-of-fold", predictions, OUT_OF_FOLD, used)
    measured = {"linear-probe/out-of-fold": entry}
    if result.headline_out_of_fold:
        final = Predicted(result.out_of_fold_photos, _out_of_fold_probabilities(result))
        entry = _measurement(context, "linear-probe", "out-of-fold", final, OUT_OF_FOLD, used)
        measured["final/out-of-fold"] = {**entry, "model": "final"}
    return measured


def _out_of_fold_probabilities(result: RecipeResult) -> NDArray[np.float64]:
    """Return the out-of-fold probabilities of the saved classifier, shape (n, k)."""
    if result.out_of_fold is not None:
        return result.out_of_fold
    assert result.cross_validated_probe is not None
    assert result.cross_validated_probe.oof is not None
    return np.asarray(result.cross_validated_probe.oof, dtype=np.float64)


def _measurement(
    context: RunContext, model: str, photos: str, predictions: Predicted, how: str, used_for_choosing: bool
) -> dict[str, Any]:
    """Return one entry of ``measured`` in ``metrics.json``."""
    labels = context.dataset.labels(predictions.entries)
    return {
        "model": model,
        "photos": photos,
        "n": len(predictions.entries),
        "used_for_choosing": used_for_choosing,
        "how": how,
        "figures": classification_report(predictions.probabilities, labels, context.dataset.classes),
    }


def _prediction_rows(context: RunContext, predictions: Predicted) -> Iterator[tuple[str, ...]]:
    """Yield the rows of ``predictions.csv``."""
    yield "path", "split", "class", "predicted", "probability", "probability_of_class"
    for entry, row in zip(predictions.entries, predictions.rows(context.dataset.classes), strict=True):
        figures = (f"{row.probability:.6f}", f"{row.probability_of_class:.6f}")
        yield row.path, entry.side or "", row.label, row.predicted, *figures


def save_elsewhere(context: RunContext, result: RecipeResult, error: OSError) -> StorageError:
    """Write the model into ``--rescue-dir``, or if that fails into the system's folder for temporary files.

    Args:
        context: the run.
        result: its result.
        error: why the model could not be written into the run folder.

    Returns:
        The error to raise; its message names the place of the model.
    """
    why = error.strerror or str(error)
    run = context.folder.path
    tried = [f"{run}: {why}"]
    for base in (context.config.rescue_dir, Path(tempfile.gettempdir())):
        if base is None:
            continue
        try:
            base.mkdir(parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(prefix=f"{run.name}-", dir=base)) / "model.safetensors"
            save_classifier(path, result.classifier, model_facts(context, result))
        except OSError as other:
            tried.append(f"{base}: {other.strerror or other}")
            continue
        return StorageError(
            f"the result could not be written to {run}: {why}\n  the trained model is in {path} instead"
            f"\n  free some space and run the same command again: it resumes and writes the rest"
        )
    return StorageError("the trained model could not be written anywhere\n  " + "\n  ".join(tried))
