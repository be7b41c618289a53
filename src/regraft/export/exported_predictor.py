"""`ExportedPredictor`: photos in files, predicted by an exported file without torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from regraft.data.threads import default_workers, map_in_order
from regraft.errors import ConfigError, DecodeError, ModelFileError
from regraft.export.decoding import Decoding
from regraft.export.exported_file import ExportedFile
from regraft.inference.pictures import photo_forms
from regraft.inference.prediction import Prediction
from regraft.screen import Bar

_FILES = ("model.onnx", "model.xml")


def exported_file_of(model: Path) -> Path | None:
    """Return the exported file that a path means: the file itself, or that in a folder of `regraft export`.

    A folder that contains a model file is a run, or an export for timm: the result is None.
    """
    if model.suffix in (".onnx", ".xml") and not model.is_dir():
        return model
    if not model.is_dir() or (model / "model.safetensors").exists():
        return None
    return next((model / name for name in _FILES if (model / name).is_file()), None)


class ExportedPredictor:
    """A classifier in an exported file, in use on photos in files. It does not measure how unlike a photo is.

    Args:
        path: ``model.onnx``, or ``model.xml`` of OpenVINO.
        workers: number of photos at the same time; None for the default.
        views: must be the number of views that the file averages, or None.
        device: ``"auto"`` or ``"cpu"``.

    Attributes:
        classes: class names in the order of the outputs.
        reject_below: certified threshold in the file; None without one.

    Raises:
        ModelFileError: the file is missing, damaged, or not one that classifies a photo.
        ConfigError: ``views`` or ``device`` does not apply to the file.
    """

    def __init__(
        self, path: Path, *, workers: int | None = None, views: int | None = None, device: str = "auto"
    ) -> None:
        self._file = ExportedFile(path, threads=1)
        facts = self._file.facts
        try:
            self._decoding = Decoding.from_facts(facts)
            in_file, below = int(facts.get("views", "1")), facts.get("unsure_below", "")
            self.reject_below = float(below) if below else None
        except (KeyError, ValueError) as error:
            raise ModelFileError(f"{path} cannot be used: its metadata is damaged: {error}") from error
        if views not in (None, in_file):
            raise ConfigError(
                f"--views {views} does not apply to {path}: it averages {in_file} views; name the run folder instead"
            )
        if device not in ("auto", "cpu"):
            raise ConfigError(f"--device {device} does not apply to {path}: an exported file runs on the processor")
        self.classes = self._file.classes
        self._workers = default_workers() if workers is None else workers

    @property
    def passes(self) -> int:
        """Number of times that the bar advances for each photo."""
        return 1

    def stream(self, paths: Any, bar: Bar | None = None) -> Iterator[Prediction]:
        """Yield the prediction for each path, in order and in bounded memory."""
        forms = photo_forms(paths)
        done = map_in_order(self._predict, forms, workers=self._workers, ahead=self._workers + 1)
        with contextlib.closing(done) as predictions:
            for prediction in predictions:
                if bar is not None:
                    bar.advance()
                yield prediction

    def _predict(self, path: Any) -> Prediction:
        try:
            values = self._file.classify(self._decoding.pixels(path))
        except DecodeError as error:
            return Prediction(str(path), None, None, (), str(error))
        order = np.argsort(-values, kind="stable")
        top = tuple((self.classes[i], float(values[i])) for i in order)
        unsure = self.reject_below is not None and top[0][1] < self.reject_below
        return Prediction(str(path), top[0][0], top[0][1], top, unsure=unsure)
