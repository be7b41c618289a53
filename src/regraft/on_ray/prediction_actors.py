"""Predictions on a Ray cluster by actors that have the classifier in use; they return in the order of the photos."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from regraft.inference.prediction import AnyPredictor, Prediction
from regraft.inference.predictor import Predictor
from regraft.models.model_place import find_model_file
from regraft.on_ray.cluster import check_agreement, connect, map_blocks, versions
from regraft.screen import Bar

PREDICTION_COLUMNS = ("number", "label", "probability", "labels", "probabilities", "error", "unsure", "novelty")
"""Columns of the results of `PredictionActor`, in the order of the fields of a `Prediction`."""


class ClusterPredictor:
    """A classifier in use whose network runs on a Ray cluster; predictions have the bits of `Predictor` there.

    Args:
        predictor: the same classifier on this machine, for its classes.
        on: ``ray``, or the address of a cluster.
        model: a run folder or a classifier's file; its bytes are sent to the actors.
        views: as for `Predictor.load`.

    Raises:
        MissingExtraError, ConfigError: see `regraft.on_ray.cluster.connect`.
        ModelFileError: there is no model.
    """

    passes = 1

    def __init__(self, predictor: AnyPredictor, on: str, model: Path, views: int | None = None) -> None:
        self.classes, self.reject_below = predictor.classes, predictor.reject_below
        self._ray, self._views = connect(on), views
        self._model = find_model_file(model).read_bytes()

    def stream(self, paths: Any, bar: Bar | None = None) -> Iterator[Prediction]:
        """Yield a prediction for each of ``paths``, in their order.

        Args:
            paths: the photos, under the same paths on every machine.
            bar: advances by one for each photo.

        Raises:
            ClusterError: a machine has other versions.
        """
        photos = list(map(Path, paths))
        waiting: dict[int, Prediction] = {}
        following = 0
        for rows in self._results(photos):
            for row in rows:
                waiting[row["number"]] = _prediction(str(photos[row["number"]]), row)
            if bar is not None:
                bar.advance(len(rows))
            while following in waiting:
                yield waiting.pop(following)
                following += 1

    def _results(self, photos: Sequence[Path]) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of the results of some photos, in any order."""
        import pyarrow as pa

        if not photos:
            return
        table = pa.table({"number": range(len(photos)), "path": [str(path.absolute()) for path in photos]})
        results = map_blocks(self._ray, table, PredictionActor, (self._model, versions(), self._views))
        for batch in results:
            yield batch.to_pylist()


class PredictionActor:
    """Stateful actor of Ray Data: a classifier in use, on one machine.

    Args:
        model: bytes of the model file.
        agreed: versions of the machine that started the pass.
        views: number of views of each photo; None for the number in the file.

    Raises:
        ClusterError: this machine has other versions.
    """

    def __init__(self, model: bytes, agreed: dict[str, str], views: int | None) -> None:
        check_agreement(agreed, versions())
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.safetensors"
            file.write_bytes(model)
            self._predictor = Predictor.load(file, views=views, workers=1)

    def __call__(self, batch: Any) -> Any:
        """Return a row for each photo of a block."""
        import pyarrow as pa

        numbers, paths = (batch.column(name).to_pylist() for name in ("number", "path"))
        predictions = self._predictor.stream([Path(path) for path in paths])
        rows = [_row(number, prediction) for number, prediction in zip(numbers, predictions, strict=True)]
        return pa.Table.from_pylist(rows, schema=_schema(pa))


def _row(number: int, prediction: Prediction) -> dict[str, Any]:
    labels, probabilities = [label for label, _ in prediction.top], [p for _, p in prediction.top]
    values = (number, prediction.label, prediction.probability, labels, probabilities)
    more = (prediction.error, prediction.unsure, prediction.novelty)
    return dict(zip(PREDICTION_COLUMNS, (*values, *more), strict=True))


def _prediction(path: str, row: dict[str, Any]) -> Prediction:
    top = tuple(zip(row["labels"], row["probabilities"], strict=True))
    return Prediction(
        path, row["label"], row["probability"], top, row["error"], unsure=row["unsure"], novelty=row["novelty"]
    )


def _schema(pa: Any) -> Any:
    kinds = (pa.int64(), pa.string(), pa.float64(), pa.list_(pa.string()), pa.list_(pa.float64()))
    more = (pa.string(), pa.bool_(), pa.float64())
    return pa.schema(list(zip(PREDICTION_COLUMNS, (*kinds, *more), strict=True)))
