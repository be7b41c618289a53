"""`Predictor`: a trained classifier with everything that is needed to use it on photos."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from regraft.data.file_types import read_regular
from regraft.data.fixed_views import fixed_view, fixed_view_task, view_name
from regraft.data.manifest import Entry
from regraft.errors import ConfigError
from regraft.features.engine import Engine
from regraft.features.engine_choice import REFERENCE, certified_engine
from regraft.features.extract import Features, extract
from regraft.features.store import FeatureStore
from regraft.inference.device import pick_device
from regraft.inference.prediction import Prediction, Scores
from regraft.models.class_only import class_only
from regraft.models.classifier import Classifier
from regraft.models.model_file import find_model_file, load_classifier
from regraft.screen import Bar

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

MAX_VIEWS = 64
"""Maximum number of views of a photo to average."""

STREAM_CHUNK = 256
"""Photos per step of `Predictor.stream`; memory does not grow with their total number."""


class Predictor:
    """A trained classifier in use.

    A photo's probabilities have the same bits whatever other photos are predicted with it: the network runs on batches
    padded to one shape, and the head on one photo at a time.

    Args:
        classifier: the classifier. The predictor takes a copy, so that later training changes no prediction, and
            predicting changes neither its mode nor its device.
        device: device of the network: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``, or a `torch.device`.
        workers: number of decoding threads; None for the default.
        engine: name of the engine on the CPU, used if it is installed and certified for this network, else torch. None:
            the engine in the classifier's file.
        views: number of views of each photo to average: 1 is the photo alone, 2 adds its mirror image, more add random
            crops that depend on the photo's content. None: the number in the classifier's file, usually 1.
        own: whether to take the classifier itself in place of a copy; it must not be trained any more.

    Raises:
        ConfigError: ``views`` is not positive, ``classifier`` is not a `Classifier`, or its head does not have one
            output per class.

    Example:
        >>> import regraft as rg
        >>> from PIL import Image
        >>> backbone = rg.build_backbone("test_resnet", pretrained=False, size=64)
        >>> rg.Classifier(backbone, ["ant", "bee"]).save("model.safetensors")
        >>> predictor = rg.Predictor.load("model.safetensors")
        >>> predictor.classes
        ('ant', 'bee')
        >>> Image.new("RGB", (80, 60), "white").save("new.png")
        >>> predictor.predict("new.png").label
        'ant'
        >>> [prediction.path for prediction in predictor.predict(["new.png", "new.png"])]
        ['new.png', 'new.png']
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        device: str | torch.device = "auto",
        workers: int | None = None,
        engine: str | None = None,
        views: int | None = None,
        own: bool = False,
    ) -> None:
        _check_classifier(classifier)
        views = _views_in_file(classifier.facts) if views is None else views
        if type(views) is not int or views < 1:
            raise ConfigError(f"views: expected a positive number, found {views!r}")
        self.views = views
        self.classifier = classifier.eval() if own else classifier.snapshot()
        self.classes: tuple[str, ...] = tuple(classifier.classes)
        self.workers = workers
        self._engine_title = classifier.facts.get("engine", REFERENCE) if engine is None else engine
        self._device = pick_device(device)
        self._engine: Engine | None = None
        weight, bias = self.classifier.linear_head()
        self._weight, self._bias = weight.cpu().double().numpy(), bias.cpu().double().numpy()

    @class_only
    def load(
        cls,  # noqa: N805 (as in a class method)
        path: Path | str,
        *,
        device: str | torch.device = "auto",
        workers: int | None = None,
        views: int | None = None,
    ) -> Predictor:
        """Return a predictor for a run folder or a classifier's file, wherever it was copied.

        Args:
            path: a run folder; its ``model.safetensors``; a file of `Classifier.save`; or a file of a `Classifier` that
                `Trainer` or `ModelCheckpoint` wrote, with any suffix.
            device: as in the constructor.
            workers: number of decoding threads; None for the default.
            views: as in the constructor; None for the number that the training chose, usually 1.

        Raises:
            ModelFileError: there is no model, or the file is damaged, truncated, not a classifier, or lacks classes and
                preprocessing.
        """
        classifier = load_classifier(find_model_file(Path(path)))
        made: Any = cls
        predictor: Predictor = made(classifier, device=device, workers=workers, views=views, own=True)
        return predictor

    @overload
    def predict(self, photos: Path | str | Image) -> Prediction: ...
    @overload
    def predict(self, photos: list[Path | str | Image] | tuple[Path | str | Image, ...]) -> list[Prediction]: ...
    def predict(
        self, photos: Path | str | Image | list[Path | str | Image] | tuple[Path | str | Image, ...]
    ) -> Prediction | list[Prediction]:
        """Classify one photo, or several: paths or PIL images.

        A photo that cannot be read gives a `Prediction` with an ``error`` instead of a label.
        """
        if not isinstance(photos, (list, tuple)):
            return self._predict_one(photos)
        if any(not isinstance(photo, (str, Path)) for photo in photos):
            return [self._predict_one(photo) for photo in photos]
        return list(self.stream(Path(p) for p in photos if isinstance(p, (str, Path))))

    def stream(self, paths: Iterable[Path], bar: Bar | None = None) -> Iterator[Prediction]:
        """Yield a prediction for each of ``paths``, in order and in bounded memory."""
        chunk: list[Path] = []
        for path in paths:
            chunk.append(path)
            if len(chunk) == STREAM_CHUNK:
                yield from self._predict_paths(chunk, bar)
                chunk = []
        if chunk:
            yield from self._predict_paths(chunk, bar)

    def scores(self, entries: Sequence[Entry], *, store: FeatureStore | None = None, bar: Bar | None = None) -> Scores:
        """Return the probabilities for ``entries``; features in ``store`` are not computed again.

        ``bar`` advances by one for each view of each photo.
        """
        weights = self.classifier.backbone.weights_hash()
        features = self._features(entries, 0, weights, store, bar)
        values, rows, failed = self._probabilities(features.values), features.rows, list(features.failed)
        for view in range(1, self.views):
            more = self._features([entries[row] for row in rows.tolist()], view, weights, store, bar)
            failed += [(int(rows[position]), why) for position, why in more.failed]  # removed since the first view
            values, rows = values[more.rows] + self._probabilities(more.values), rows[more.rows]
        return Scores(values / self.views, rows, tuple(sorted(failed)))

    def _chosen_engine(self, weights: str | None = None) -> Engine:
        """Return the engine that runs the network; it is chosen once, before the first photo."""
        if self._engine is None:
            self._engine = certified_engine(self._engine_title, self.classifier.backbone, self._device, weights)
        return self._engine

    def _features(
        self, entries: Sequence[Entry], view: int, weights: str, store: FeatureStore | None, bar: Bar | None
    ) -> Features:
        backbone = self.classifier.backbone
        p = backbone.spec.preprocessing
        return extract(
            entries,
            backbone,
            self._chosen_engine(weights),
            store,
            load=fixed_view_task(p, view),
            view=view_name(view),
            weights=weights,
            workers=self.workers,
            bar=bar,
        )

    def _probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        out = np.empty((len(features), len(self.classes)))
        for row, feature in enumerate(features):
            logits = self._weight @ feature.astype(np.float64) + self._bias
            exponent = np.exp(logits - logits.max())
            out[row] = exponent / exponent.sum()
        return out

    def _predict_paths(self, paths: Sequence[Path], bar: Bar | None) -> Iterator[Prediction]:
        scores = self.scores([_entry(path, hashed=self.views > 2) for path in paths], bar=bar)
        rows = {int(row): values for row, values in zip(scores.rows, scores.values, strict=True)}
        failed = dict(scores.failed)
        for position, path in enumerate(paths):
            if position in rows:
                yield self._prediction(str(path), rows[position])
            else:
                yield Prediction(str(path), None, None, (), failed[position])

    def _predict_one(self, photo: Path | str | Image) -> Prediction:
        if isinstance(photo, (str, Path)):
            return next(iter(self._predict_paths([Path(photo)], None)))
        from regraft.data.decode import as_rgb

        image, p = as_rgb(photo), self.classifier.backbone.spec.preprocessing
        content = hashlib.sha256(image.tobytes()).hexdigest()
        values = np.zeros(len(self.classes))
        for view in range(self.views):
            pixels = fixed_view(image, p, view, content)
            values += self._probabilities(self._chosen_engine().run(pixels[None]))[0]
        return self._prediction(str(getattr(photo, "filename", "") or "image"), values / self.views)

    def _prediction(self, path: str, values: NDArray[np.float64]) -> Prediction:
        order = np.argsort(-values, kind="stable")
        top = tuple((self.classes[i], float(values[i])) for i in order)
        return Prediction(path, top[0][0], top[0][1], top)


def _views_in_file(extra: Mapping[str, str]) -> int:
    """Return the number of views in a model file, within bounds, because other programs may write any number."""
    text = str(extra.get("views", "1"))
    return min(max(int(text), 1), MAX_VIEWS) if text.isdecimal() else 1


def _check_classifier(classifier: object) -> None:
    """Raise `ConfigError` unless ``classifier`` is a plain backbone with a linear head."""
    module = getattr(classifier, "module", None)
    if not isinstance(classifier, Classifier):
        hint = ": pass its module" if isinstance(module, Classifier) else ""
        raise ConfigError(f"classifier: expected a Classifier, found a {type(classifier).__name__}{hint}")
    if type(classifier).forward is not Classifier.forward:
        raise ConfigError(
            f"classifier: {type(classifier).__name__} overrides forward, which a Predictor does not call; "
            "predict with Trainer.predict"
        )


def _entry(path: Path, *, hashed: bool) -> Entry:
    content = ""
    if hashed:
        with contextlib.suppress(OSError):  # decoding reports the error
            content = hashlib.sha256(read_regular(path)).hexdigest()
    return Entry(
        name=str(path),
        path=path,
        content=content,
        label="",
        side=None,
        group=None,
        status="ok",
        why="",
        given_side=None,
    )
