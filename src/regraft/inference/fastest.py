"""The fastest engines that answer as torch does: compared once for a model file and a machine, and recorded.

A training compares no engine for a network that it fine-tunes, because its seconds belong to the training, and another
machine would have to compare again. A server compares when it first starts with a model file.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from filelock import FileLock

from regraft.cache_dir import cache_folder
from regraft.features.engines.machine_facts import read_fact
from regraft.inference.compared_engines import ComparedEngines
from regraft.inference.engine_comparison import is_reference
from regraft.inference.prediction import Prediction
from regraft.inference.predictor import Predictor
from regraft.inference.preparation import MAX_COMPARED, can_be_recorded, prepare
from regraft.inference.prepared import Preparation, is_recorded, preparation_key
from regraft.inference.run_photos import held_out_photos

Comparison: TypeAlias = Literal["done", "not needed", "not possible"]
"""State of the comparison of engines: its result is recorded; it is not needed, because torch on the processor would
run no network; or it is not possible, because the cache folder cannot be used.
"""

_MIN_PHOTOS, _SECONDS = 8, 5.0
"""Predictions by torch for the comparison: after this time, no more than the minimum."""


@dataclass(frozen=True)
class FastestEngines:
    """The engines for a model file on this machine.

    Attributes:
        engines: the engines, for `Predictor`; None if the engines in the file are the fastest.
        why: the reason, for people.
        comparison: whether engines were compared.
    """

    engines: ComparedEngines | None
    why: str
    comparison: Comparison


def fastest_engines(
    file: Path, reference: Predictor, photos_from: Path | None = None, report: Callable[[str], None] = lambda _: None
) -> FastestEngines:
    """Return the fastest engines for a model file that answer as torch does.

    If they were not compared before, networks that torch runs are exported, both run photos, and the speeds and the
    answers are compared; this takes some seconds. The photos are validation and test photos of the run, at most
    `MAX_COMPARED`, or generated images if there are none.

    Args:
        file: the model file.
        reference: the predictor that was loaded from it.
        photos_from: a run folder, or a model file in it; None for ``file``.
        report: called with a message before a comparison.
    """
    engines = [one.engine for one in reference.network_passes]
    if not any(is_reference(engine) for engine in engines):
        names = _names([engine.title for engine in engines])
        return FastestEngines(None, f"the network runs on {names}", "not needed")
    if not can_be_recorded():
        folder = cache_folder()
        why = f"the network runs on torch: {folder} cannot be written; REGRAFT_CACHE names another folder"
        return FastestEngines(None, why, "not possible")
    key = preparation_key(file.read_bytes())
    with _comparing_alone():
        if not is_recorded(key) or None in _speed_ratios(read_fact(key)):
            report("this model is new on this machine: another engine is compared with torch, once")
            predictions = _predictions(reference, held_out_photos(photos_from or file, MAX_COMPARED))
            prepare(file, reference, predictions, measured=True)
        record = read_fact(key)
    try:
        return _chosen(Preparation.from_dict(record), reference)
    except (KeyError, TypeError):  # a refusal, or no record
        if isinstance(record, dict) and "refused" in record:
            return FastestEngines(None, f"the network runs on torch: {record['refused']}", "done")
        return FastestEngines(None, "the network runs on torch: no engine was compared", "not possible")


def _speed_ratios(record: Any) -> list[float | None]:
    """Return the recorded speed ratio of each network; none for a refusal."""
    try:
        return [one.speed_ratio for one in Preparation.from_dict(record).networks]
    except (KeyError, TypeError):
        return []


def _chosen(preparation: Preparation, reference: Predictor) -> FastestEngines:
    """Return the engines by the record of a comparison."""
    ratios = [one.speed_ratio or 1.0 for one in preparation.networks]
    faster = [ratio for ratio in ratios if ratio > 1.0]
    if not faster:
        return FastestEngines(None, "the network runs on torch, which is the fastest engine for it here", "done")
    pairs = zip(ratios, preparation.networks, strict=True)
    titles = tuple(one.graph.title if ratio > 1.0 else None for ratio, one in pairs)
    names = _names([title or one.title for title, one in zip(titles, reference.network_passes, strict=True)])
    ratio, difference = min(faster), max(preparation.largest_difference, 1e-9)
    why = (
        f"the network runs on {names}, {ratio:.1f} times as fast as torch; {preparation.compared} pictures had the "
        f"same answers, within {difference:.1g}"
    )
    return FastestEngines(ComparedEngines(titles), why, "done")


def _names(titles: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(title.replace("eager", "torch") for title in titles))


def _predictions(reference: Predictor, photos: Sequence[Path]) -> list[Prediction]:
    """Return the predictions for photos; those of some of them if they take long."""
    begun, predictions = time.monotonic(), list[Prediction]()
    for prediction in reference.stream(photos):
        predictions.append(prediction)
        if len(predictions) >= _MIN_PHOTOS and time.monotonic() - begun > _SECONDS:
            break
    return predictions


@contextlib.contextmanager
def _comparing_alone() -> Iterator[None]:
    """Wait until no other process compares, so that the processes of a server make one choice."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a disk without locks: the record of the last one stays
            stack.enter_context(FileLock(cache_folder() / "comparison.lock"))
        yield
