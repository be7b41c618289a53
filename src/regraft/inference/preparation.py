"""Preparation of a model file, so that later processes use it without torch (`regraft.inference.prepared`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from regraft.disk.sealed import SealError
from regraft.errors import ModelFileError
from regraft.features.engines.graph_engines import synthetic_pixels
from regraft.features.engines.machine_facts import read_fact, write_fact
from regraft.features.engines.prepared_engine import PreparedGraph
from regraft.inference.close_answers import TOLERANCE
from regraft.inference.compared_engines import ComparedEngines
from regraft.inference.engine_comparison import compared_graph
from regraft.inference.head_file import read_heads
from regraft.inference.pass_predictor import PassPredictor
from regraft.inference.prediction import AnyPredictor, Prediction
from regraft.inference.predictor import Predictor
from regraft.inference.prepared import Preparation, PreparedNetwork, PreparedPredictor, preparation_key
from regraft.models.model_place import find_model_file

MAX_COMPARED = 64
"""Maximum number of photos that are compared."""

_MIN_MEASURED, _MIN_IMAGES, _IMAGE_SIDE = 16, 3, 128
_PROBE = "prepared / the cache can be written"
_MAX_PARAMETERS = 100_000_000  # of all networks; exporting more takes longer than importing torch a few times


def prepare(
    model: Path, predictor: AnyPredictor, predictions: Sequence[Prediction], *, measured: bool = False
) -> Preparation | None:
    """Prepare a model file for later predictions, and return the comparison.

    Graphs are exported where the run's engine is torch. A refusal is recorded with its reason if a network cannot be
    exported, if an engine is one that needs torch, or if an answer differs: in a bit where the engine is the same, in
    the class or in more than `TOLERANCE` of a probability where it is not.

    Args:
        model: a run folder or a model file.
        predictor: the predictor that was loaded from it.
        predictions: predictions of photos in files, which are compared.
        measured: whether to measure the speeds too, and to compare at least `_MIN_MEASURED` pictures.
    """
    if not isinstance(predictor, Predictor) or not can_be_recorded():
        return None
    path = find_model_file(model)
    content = path.read_bytes()
    try:
        preparation = _compared(path, content, predictor, predictions, measured)
    except _RefusedError as error:
        write_fact(preparation_key(content), {"refused": str(error)})
        return None
    except (SealError, OSError):
        write_fact(preparation_key(content), {"refused": "the cache folder cannot be used"})
        return None
    write_fact(preparation_key(content), preparation.as_dict())
    return preparation


class _RefusedError(Exception):
    """The model needs torch; the message is the reason."""


def can_be_recorded() -> bool:
    """Return whether the cache can be written; otherwise each call would prepare the model again."""
    write_fact(_PROBE, 1)
    return bool(read_fact(_PROBE) == 1)


def _compared(
    path: Path, content: bytes, predictor: Predictor, predictions: Sequence[Prediction], measured: bool
) -> Preparation:
    """Return the preparation of a model file after comparing it.

    Raises:
        _RefusedError: it needs torch.
    """
    if sum(one.network.spec.parameters for one in predictor.network_passes) > _MAX_PARAMETERS:
        raise _RefusedError(f"it has more than {_MAX_PARAMETERS:,} parameters")
    networks, same_bits = list[PreparedNetwork](), True
    for one in predictor.network_passes:
        compared = compared_graph(one, measured=measured)
        if compared is None:
            raise _RefusedError("no other engine that is installed can run it")
        engine = compared.engine
        same_bits &= engine is one.engine
        graph = PreparedGraph(
            engine.graph_file, engine.title, engine.batch_size, engine.weights, engine.versions, engine.numerics
        )
        members, starts = tuple(head.member for head in one.heads), tuple(head.start for head in one.heads)
        features = one.network.spec.num_features
        networks.append(PreparedNetwork(graph, features, members, starts, compared.speed_ratio))
    preparation = Preparation(tuple(networks), same_bits)
    images = max(_MIN_IMAGES, _MIN_MEASURED - len(predictions) if measured else 0)
    differences = _differences(_prepared(path, content, preparation, predictor), predictor, predictions, images)
    largest = max(differences)
    if largest > (0.0 if same_bits else TOLERANCE):
        raise _RefusedError(f"a probability by another engine differs by {largest:.1g}")
    return replace(preparation, compared=len(differences), largest_difference=largest)


def _prepared(path: Path, content: bytes, preparation: Preparation, predictor: Predictor) -> PassPredictor:
    """Return the predictor that is compared, without a reference for close answers."""
    try:
        heads = read_heads(path, content)
    except ModelFileError:  # a file of a Trainer, which needs torch
        titles = tuple(one.graph.title for one in preparation.networks)
        return predictor.with_passes(ComparedEngines(titles).passes(predictor.network_passes, None))
    return PreparedPredictor(path, heads, replace(preparation, same_bits=True), None, predictor.views)


def _differences(
    prepared: PassPredictor, predictor: Predictor, predictions: Sequence[Prediction], generated: int
) -> list[float]:
    """Return the largest difference for each photo, then for each generated image."""
    photos = [one for one in predictions if one.error is None and Path(one.path).is_file()][:MAX_COMPARED]
    images = list(synthetic_pixels(_IMAGE_SIDE, _IMAGE_SIDE, generated))
    expected = [*photos, *predictor.predict(images)]
    found = [*prepared.stream([Path(one.path) for one in photos]), *prepared.stream(images)]
    return [_difference(*pair) for pair in zip(expected, found, strict=True)]


def _difference(expected: Prediction, found: Prediction) -> float:
    """Return the largest difference of a probability, or a tenth of the relative difference of the novelty."""
    others = dict(found.top)
    difference = max((abs(p - others.get(label, 2.0)) for label, p in expected.top), default=2.0)
    if expected.novelty is None or found.novelty is None:
        return difference if expected.novelty is found.novelty else 2.0
    return max(difference, abs(expected.novelty - found.novelty) / (10 * max(1.0, expected.novelty)))
