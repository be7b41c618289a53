"""All ways from one cut of a folder to a classifier, each trained by regraft itself, with what each predicts."""

from __future__ import annotations

import copy
import json
import os
import resource
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import regraft as rg
from regraft.context.frozen_features import FrozenFeatures
from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.inference.predictor import Predictor
from regraft.models.freeze_ledger import block_checksums
from regraft.models.zoo import build_backbone
from regraft.recipes import feature_extraction
from regraft.recipes.result import RecipeResult, probe_result
from regraft.recipes.steps.fine_tuning import FineTuned, fine_tune
from regraft.recipes.steps.input_size import at_input_size
from regraft.recipes.steps.solve_all_depths import solve_depth_probe
from regraft.recipes.steps.solve_probe import probe_classifier, solve_probe
from regraft.recipes.steps.trainers import pretrained_classifier
from regraft.recipes.steps.tuning_plan import Plan, plan_from_options, upper_half, upper_plan
from regraft.screen import QuietScreen
from regraft.workflows import run_training

SECOND = "tf_efficientnet_lite2"
FOLDS = 3


@dataclass(frozen=True)
class NamedPlan(Plan):
    """A plan with a name of its own, so that trainings of the same blocks do not resume one another."""

    name: str = ""

    @property
    def stage(self) -> str:
        """The name of its snapshots."""
        return f"{super().stage} {self.name}"


@dataclass
class Ways:
    """Predictions of all ways on one cut.

    Attributes:
        arrays: probabilities, labels and features, by name.
        facts: facts of the cut, and CPU seconds of each way in ``seconds``.
    """

    arrays: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=lambda: {"seconds": {}})

    def timed(self, way: str, make: Callable[[], Any]) -> Any:
        """Return the result of ``make``, and add its CPU seconds to those of ``way``."""
        before = cpu_seconds()
        result = make()
        self.facts["seconds"][way] = round(self.facts["seconds"].get(way, 0.0) + cpu_seconds() - before, 2)
        return result


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of those that it has started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure_ways(photos: Path, seed: int, *, whole_blocks: bool, crossed: int, frozen: bool = False) -> Ways:
    """Return what all ways predict on ``photos``, which has the folders train and val (the test photos)."""
    ways = Ways()

    def recipe(context: RunContext) -> RecipeResult:
        return _all_ways(context, ways, whole_blocks=whole_blocks, crossed=crossed, frozen=frozen)

    with tempfile.TemporaryDirectory() as place, mock.patch.dict(run_training.RUN_RECIPE, {"auto": recipe}):
        rg.train(photos, recipe="auto", seed=seed, out=Path(place) / "run", screen=QuietScreen())
    return ways


def _all_ways(
    context: RunContext, ways: Ways, *, whole_blocks: bool, crossed: int, frozen: bool = False
) -> RecipeResult:
    linear, parts = context.parts.linear, context.parts.gradient
    arrays, labels = ways.arrays, context.dataset.labels
    row_of = {entry.name: row for row, entry in enumerate(linear.refit)}
    arrays |= {"y_refit": labels(linear.refit), "y_test": labels(parts.test)}
    arrays["validation_rows"] = np.array([row_of[entry.name] for entry in parts.validation], dtype=np.int64)
    arrays["units"] = np.unique([str(u) for u in context.dataset.units(linear.refit)], return_inverse=True)[1]
    ways.facts |= {
        "classes": len(context.dataset.classes), "refit": len(linear.refit), "train": len(parts.train),
        "validation": len(parts.validation), "test": len(parts.test), "side": context.dataset.median_side,
    }  # fmt: skip
    probe = ways.timed("probe", lambda: solve_probe(context, linear.refit, nested=True)).probe
    start = ways.timed("start", lambda: solve_probe(context, parts.train, nested=False, label="start")).probe
    arrays["probe_oof"], arrays["probe_test"] = probe.oof, _scores(context, probe, parts.test)
    arrays["start_validation"] = _scores(context, start, parts.validation)
    arrays["start_test"] = _scores(context, start, parts.test)
    depth = ways.timed("depth", lambda: solve_depth_probe(context, linear.refit))
    arrays["depth_oof"] = depth.probe.oof
    arrays["depth_test"] = _scores(depth.context, depth.probe, parts.test)
    ways.facts["depth_scale"] = depth.scale
    _two_networks(context, ways)
    if frozen:
        return probe_result(context, probe)
    extracted = ways.timed("feature-extraction", lambda: feature_extraction.run(context)).classifier
    arrays["feature-extraction_test"] = _predicted(context, extracted, parts.test)
    _fine_tunings(context, ways, whole_blocks=whole_blocks, crossed=crossed)
    return probe_result(context, probe)


def _two_networks(context: RunContext, ways: Ways) -> None:
    linear, parts, arrays = context.parts.linear, context.parts.gradient, ways.arrays
    other = context.with_backbone(build_backbone(SECOND), "engine of the second network").features.first
    both = [*linear.refit, *parts.test]
    ways.timed("two-networks", lambda: other.extract(linear.refit))
    second = other.with_table(both, other.of(both))
    two = replace(context, features=FrozenFeatures((context.features.first, second)))
    solved = ways.timed("two-networks", lambda: solve_probe(two, linear.refit, nested=True, label="two")).probe
    arrays["two-networks_oof"], arrays["two-networks_test"] = solved.oof, _scores(two, solved, parts.test)
    for side, entries in (("refit", linear.refit), ("test", parts.test)):
        arrays[f"lite0_{side}"] = context.features.of(entries).astype(np.float16)
        arrays[f"lite2_{side}"] = second.of(entries).astype(np.float16)


def _fine_tunings(context: RunContext, ways: Ways, *, whole_blocks: bool, crossed: int) -> None:
    linear, parts = context.parts.linear, context.parts.gradient
    config, sized = context.config, at_input_size(context)
    plan = upper_plan(config, len(parts.train), upper_half(context.backbone))

    def tune(name: str, train: Sequence[Entry], validation: Sequence[Entry]) -> FineTuned:
        head = solve_probe(sized.context, train, nested=False, label=f"start {name}").probe
        classifier = pretrained_classifier(sized.context, head)
        classifier.unfreeze(plan.unfreeze)
        classifier.to(memory_format=torch.channels_last)
        named = NamedPlan(**{**vars(plan), "name": name})
        return fine_tune(sized, named, classifier, train, validation)

    upper = ways.timed("upper-blocks", lambda: tune("upper", parts.train, parts.validation))
    _keep(context, ways, "upper-blocks", upper)
    if whole_blocks:
        whole = replace(plan_from_options(config), unfreeze="all", epochs=4, continues=True)
        classifier = copy.deepcopy(upper.classifier)
        before = block_checksums(classifier)
        classifier.freeze()
        classifier.unfreeze("all")
        classifier.to(memory_format=torch.channels_last)
        tuned = ways.timed(
            "all-blocks",
            lambda: fine_tune(sized, whole, classifier, parts.train, parts.validation, pretrained=before),
        )
        _keep(context, ways, "all-blocks", tuned)
    if len(linear.refit) > crossed:
        return
    full = ways.timed("upper-full", lambda: tune("full", linear.refit, []))
    ways.arrays["upper-full_test"] = _predicted(context, full.classifier, parts.test)
    ways.arrays["upper-full-mirror_test"] = _predicted(context, full.classifier, parts.test, views=2)
    folds = ways.arrays["units"] % FOLDS
    oof = np.zeros((len(linear.refit), len(context.dataset.classes)))
    for fold in range(FOLDS):
        train = [entry for entry, f in zip(linear.refit, folds, strict=True) if f != fold]
        if {entry.label for entry in train} != set(context.dataset.classes):
            return
        tuned = ways.timed("upper-folds", lambda fold=fold, train=train: tune(f"fold {fold}", train, []))
        held = [entry for entry, f in zip(linear.refit, folds, strict=True) if f == fold]
        oof[folds == fold] = _predicted(context, tuned.classifier, held)
    ways.arrays["upper-folds_oof"] = oof


def _keep(context: RunContext, ways: Ways, way: str, tuned: FineTuned) -> None:
    parts = context.parts.gradient
    for views in sorted({1, tuned.views}):
        name = way if views == tuned.views else f"{way}-plain"
        ways.arrays[f"{name}_validation"] = _predicted(context, tuned.classifier, parts.validation, views=views)
        ways.arrays[f"{name}_test"] = _predicted(context, tuned.classifier, parts.test, views=views)
    ways.facts[way] = json.loads(json.dumps(tuned.facts, default=str))


def _scores(context: RunContext, probe: Any, entries: Sequence[Entry]) -> Any:
    return _predicted(context, probe_classifier(context, probe), entries, engine=context.features.engine.title)


def _predicted(
    context: RunContext, classifier: Any, entries: Sequence[Entry], *, views: int = 1, engine: str | None = None
) -> Any:
    predictor = Predictor(classifier, workers=1, views=views, engine=engine, own=True)
    return predictor.scores(entries, store=context.store).values


def lay_out_balanced(source: Path, classes: Sequence[str], per_class: int, test: int, seed: int, out: Path) -> Path:
    """Link photos into ``out``: ``test`` ones of all classes, the same for each size; ``per_class`` others to train."""
    photos = [p for p in sorted(source.rglob("*.*")) if p.parent.name in classes]
    order = [photos[int(row)] for row in np.random.default_rng(7).permutation(len(photos))]
    rest = [order[test:][int(row)] for row in np.random.default_rng(seed).permutation(len(order) - test)]
    chosen = [(photo, "val") for photo in order[:test]]
    for name in classes:
        chosen += [(photo, "train") for photo in [p for p in rest if p.parent.name == name][:per_class]]
    for photo, side in chosen:
        folder = out / side / photo.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        os.symlink(photo.resolve(), folder / f"{photo.parent.parent.name}-{photo.name}")
    return out
