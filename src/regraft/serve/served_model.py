"""The model of a server: a copy of its file, loaded and tried once, so that its first answer is as quick as others."""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from PIL import Image

from regraft.errors import RegraftError, ServerError
from regraft.features.engines.single_photo import lone_photo_engine, single_photo_engine
from regraft.inference.fastest import Comparison, fastest_engines
from regraft.inference.prediction import Prediction
from regraft.inference.predictor import Predictor
from regraft.inference.two_steps import PhotoPixels, TwoStepPredictor
from regraft.models.model_file import load_classifier
from regraft.models.model_place import find_model_file
from regraft.serve.photo_checks import check_photo

_PACKAGES = {"eager": "torch", "ONNX": "onnxruntime", "OpenVINO": "openvino"}
"""Package of an engine by the first word of its title."""


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model that answers requests; several threads may call it.

    Attributes:
        file: the file that it was loaded from.
        sha256: hash of that file.
        classes: names of the classes.
        has_threshold: whether the model has a certified threshold, so that answers have ``unsure``.
        steps: the predictor.
        max_pixels: maximum pixels of a photo.
        engine: the engine of its network and the reason, for people.
        comparison: whether engines were compared for it on this machine.
    """

    file: Path
    sha256: str
    classes: tuple[str, ...]
    has_threshold: bool
    steps: TwoStepPredictor
    max_pixels: int
    engine: str
    comparison: Comparison
    _slots: threading.Semaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_slots", threading.Semaphore(self.steps.parallel_batches))

    @property
    def engine_packages(self) -> tuple[str, ...]:
        """Names of the packages that run its networks: ``"onnxruntime"``, ``"openvino"``, ``"torch"``."""
        return tuple(dict.fromkeys(_PACKAGES[title.split()[0]] for title in self.steps.engine_titles))

    def prepare(self, name: str, photo: bytes) -> PhotoPixels:
        """Return the pixels of a photo.

        Raises:
            PhotoTooLargeError: it has too many pixels.
            DecodeError: it cannot be decoded.
        """
        check_photo(photo, self.max_pixels)
        return self.steps.pixels_of(name, photo)

    def predict(self, photos: Sequence[PhotoPixels], *, alone: bool) -> list[Prediction]:
        """Return the predictions for photos; ``alone`` if no other photo waits."""
        with self._slots:
            return self.steps.predict(photos, alone=alone)


def load_served_model(
    path: Path, *, device: str, max_pixels: int, threads: int = 1, report: Callable[[str], None] = lambda _: None
) -> ServedModel:
    """Return the model of a run folder or a model file.

    It is loaded from a copy, so that a file that changes meanwhile cannot mix two models.

    Args:
        path: a run folder, or a model file.
        device: device of the network.
        max_pixels: maximum pixels of a photo.
        threads: number of threads that may share a photo while no other photo waits.
        report: called with a message before engines are compared.

    Raises:
        ServerError: there is no model, or it cannot be used; the message is that of the cause.
    """
    try:
        file = find_model_file(path)
        with tempfile.TemporaryDirectory(prefix="regraft-serve-") as folder:
            copy = Path(folder) / file.name
            shutil.copyfile(file, copy)
            return _loaded(file, copy, device, max_pixels, threads, report)
    except (RegraftError, OSError) as error:
        raise ServerError(str(error)) from error


def _loaded(
    file: Path, copy: Path, device: str, max_pixels: int, threads: int, report: Callable[[str], None]
) -> ServedModel:
    with copy.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    try:
        classifier = load_classifier(copy)
        predictor = Predictor(classifier, device=device, own=True)
    except RegraftError as error:
        raise ServerError(str(error).replace(str(copy), str(file))) from error
    fastest = fastest_engines(copy, predictor, file, report)
    if fastest.engines is not None:
        predictor = Predictor(classifier, device=device, own=True, engine=fastest.engines)
    steps = TwoStepPredictor(predictor, single_photo_engine, partial(lone_photo_engine, threads=threads))
    for network in predictor.network_passes:  # engines for batches that no photo of the server needs
        network.release_engine()
    threshold = predictor.reject_below is not None
    model = ServedModel(file, sha256, predictor.classes, threshold, steps, max_pixels, fastest.why, fastest.comparison)
    for alone in (True, False):
        model.predict([model.prepare("trial", _gray_photo())], alone=alone)
    return model


def _gray_photo() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "gray").save(out, "PNG")
    return out.getvalue()
