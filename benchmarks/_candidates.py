"""The candidates of `auto` on cuts of folders: trains them, and records what each predicts."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import regraft as rg
from regraft.context.run_context import RunContext
from regraft.inference.predictor import Predictor
from regraft.recipes import auto
from regraft.recipes.steps.outlook import Outlook
from regraft.recipes.steps.solve_probe import probe_classifier
from regraft.screen import QuietScreen


@dataclass(frozen=True)
class Cut:
    """Photos of a folder to train on and to test with.

    Attributes:
        folder: name of the folder.
        train: photos to train on, over all classes; validation photos are taken from them.
        test: photos to test with.
        seed: of the draw.
        classes: names of the classes, or None for all.
    """

    folder: str
    train: int
    test: int
    seed: int
    classes: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The name of its file."""
        chosen = "" if self.classes is None else f"-{len(self.classes)}of"
        return f"{self.folder}{chosen}-{self.train}-{self.seed}"


def lay_out(source: Path, cut: Cut, out: Path) -> Path:
    """Link the photos of a cut of ``source/CLASS/PHOTO`` into ``out/{train,val}/CLASS`` and return ``out``."""
    rng = np.random.default_rng([cut.seed, cut.train])
    photos = [p for p in sorted(source.rglob("*.*")) if cut.classes is None or p.parent.name in cut.classes]
    order = rng.permutation(len(photos))
    for position, row in enumerate(order[: cut.train + cut.test]):
        photo = photos[int(row)]
        folder = out / ("train" if position < cut.train else "val") / photo.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        os.symlink(photo.resolve(), folder / photo.name)
    return out


class _Record:
    """Predictions of the candidates of one run, by name of the array."""

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {}
        self.titles: list[str] = []
        self.facts: dict[str, Any] = {}

    def refitted(self, context: RunContext, probe: Any) -> None:
        parts = context.parts
        self.arrays["y_oof"] = context.dataset.labels(parts.linear.refit)
        self.arrays["oof"] = probe.oof
        self.arrays["y_validation"] = context.dataset.labels(parts.gradient.validation)
        self.arrays["y_test"] = context.dataset.labels(parts.gradient.test)
        self.facts |= {
            "train": len(parts.gradient.train),
            "validation": len(parts.gradient.validation),
            "test": len(parts.gradient.test),
            "classes": len(context.dataset.classes),
            "side": context.dataset.median_side,
            "input": context.backbone.spec.preprocessing.height,
            "blocks": len(context.backbone.blocks),
        }
        predictor = Predictor(
            probe_classifier(context, probe), workers=1, engine=context.features.engine.title, own=True
        )
        self.arrays["test_refit"] = predictor.scores(parts.gradient.test, store=context.store).values

    def candidate(self, context: RunContext, title: str, predictor: Predictor) -> None:
        number = len(self.titles)
        self.titles.append(title)
        for side in ("validation", "test"):
            photos = getattr(context.parts.gradient, side)
            self.arrays[f"{side}_{number}"] = predictor.scores(photos, store=context.store).values


@contextmanager
def recorded(rungs: int) -> Iterator[_Record]:
    """Make `auto` train this many rungs in any case, and record its candidates."""
    record = _Record()
    names = ("solve_pooled_probe", "probe_candidate", "fine_tuned_candidate", "compare_candidates", "rungs")
    originals = {name: getattr(auto, name) for name in names}

    def pooled(context: RunContext, *arguments: Any) -> Any:
        solved = originals["solve_pooled_probe"](context, *arguments)
        record.refitted(context, solved.probe)
        return solved

    def probe(context: RunContext, classifier: Any) -> Any:
        candidate = originals["probe_candidate"](context, classifier)
        predictor = Predictor(classifier, workers=1, engine=context.features.engine.title, own=True)
        record.candidate(context, "probe", predictor)
        return candidate

    def tuned(context: RunContext, title: str, result: Any) -> Any:
        candidate = originals["fine_tuned_candidate"](context, title, result)
        record.candidate(context, title, Predictor(result.classifier, workers=1, views=result.views, own=True))
        record.facts.setdefault("tuned", []).append(result.facts)
        return candidate

    def kept(*arguments: Any) -> Any:
        return replace(originals["compare_candidates"](*arguments), is_gain=True)

    with (
        mock.patch.object(auto, "solve_pooled_probe", pooled),
        mock.patch.object(auto, "probe_candidate", probe),
        mock.patch.object(auto, "fine_tuned_candidate", tuned),
        mock.patch.object(auto, "compare_candidates", kept),
        mock.patch.object(auto, "rungs", lambda *given: originals["rungs"](*given)[:rungs]),
        mock.patch.object(auto, "pooled_views", return_value=1),
        mock.patch.object(auto, "MIN_TRAIN", 1),
        mock.patch.object(auto, "MIN_VALIDATION", 1),
        mock.patch.object(Outlook, "pays", True),
    ):
        yield record


def measure(source: Path, cut: Cut, *, rungs: int = 1, **options: Any) -> _Record:
    """Train `auto` on a cut and return what its candidates predict, with the seconds in ``facts``."""
    with tempfile.TemporaryDirectory() as place, recorded(rungs) as record:
        began, cpu = time.perf_counter(), time.process_time()
        photos = lay_out(source, cut, Path(place) / "photos")
        run = rg.train(photos, recipe="auto", out=Path(place) / "run", screen=QuietScreen(), **options)
        events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
        record.facts |= {
            "titles": record.titles,
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - cpu,
            "epochs": [e for e in events if e["event"] == "epoch"],
        }
    return record


def save(record: _Record, path: Path) -> None:
    """Write the predictions and the facts of a record to a file of numpy."""
    np.savez_compressed(path, facts=json.dumps(record.facts), **record.arrays)


def load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the predictions and the facts that `save` wrote."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, json.loads(str(arrays.pop("facts")))
