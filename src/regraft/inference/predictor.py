"""`Predictor`: a trained classifier with everything that is needed to use it on photos."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from regraft.data.file_types import read_regular
from regraft.data.manifest import Entry
from regraft.errors import ConfigError
from regraft.features.engine_choice import REFERENCE
from regraft.features.store import FeatureStore
from regraft.inference.device import pick_device
from regraft.inference.network_pass import HeadLogits, NetworkPass
from regraft.inference.pictures import Channels, Picture, is_one_photo, photo_forms
from regraft.inference.prediction import Prediction, Scores, threshold_in_file, views_in_file
from regraft.inference.shared_network import shared_networks
from regraft.models.class_only import class_only
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.models.feature_novelty import mean_novelty
from regraft.models.model_file import find_model_file, load_classifier
from regraft.screen import Bar

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

STREAM_CHUNK = 256
"""Photos per step of `Predictor.stream`; memory does not grow with their total number."""


class Predictor:
    """A trained classifier in use, or several of them as one.

    A photo's probabilities have the same bits whatever other photos are predicted with it: the network runs on batches
    padded to one shape, and the head on one photo at a time.

    Each member of an `Ensemble` has its own preprocessing and its own engine; the photo is decoded for each of them.
    Members that share half of their blocks or more, such as a probe and the network whose upper blocks were fine-tuned
    from it, run the shared blocks once.

    Args:
        classifier: the classifier, or an ensemble. The predictor takes a copy, so that later training changes no
            prediction, and predicting changes neither its mode nor its device.
        device: device of the network: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``, or a `torch.device`.
        workers: number of decoding threads; None for the default.
        engine: name of the engine on the CPU, used if it is installed and certified for the network, else torch. None:
            the engine in the classifier's file, which members of an ensemble have each for themselves.
        views: number of views of each photo to average: 1 is the photo alone, 2 adds its mirror image, more add random
            crops that depend on the photo's content. None: the number in the classifier's file, usually 1.
        own: whether to take the classifier itself in place of a copy; it must not be trained any more.

    Attributes:
        reject_below: certified threshold of the probability, below which a prediction is unsure; None if the training
            had no ``--max-error``, or could not certify it.

    Raises:
        ConfigError: ``views`` is not positive, ``classifier`` is not a `Classifier` or an `Ensemble`, or its head does
            not have one output per class.

    Example:
        >>> import numpy as np
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
        >>> pixels = np.full((60, 80, 3), 255, np.uint8)
        >>> predictor.predict(pixels, channels="bgr").top == predictor.predict("new.png").top
        True
    """

    def __init__(
        self,
        classifier: Classifier | Ensemble,
        *,
        device: str | torch.device = "auto",
        workers: int | None = None,
        engine: str | None = None,
        views: int | None = None,
        own: bool = False,
    ) -> None:
        _check_classifier(classifier)
        views = views_in_file(classifier.facts) if views is None else views
        if type(views) is not int or views < 1:
            raise ConfigError(f"views: expected a positive number, found {views!r}")
        self.views = views
        self.reject_below = threshold_in_file(classifier.facts)
        self.classifier = classifier.eval() if own else classifier.snapshot()
        self.classes: tuple[str, ...] = tuple(classifier.classes)
        self.workers = workers
        groups, self._weights = _groups(self.classifier)
        self._sizes = tuple(len(group) for group in groups)
        place = pick_device(device)
        self._passes = tuple(_passes([one for group in groups for one in group], engine, place, workers))

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
            path: a run folder; its ``model.safetensors``; a file of `Classifier.save` or `Ensemble.save`; or a file of
                a `Classifier` that `Trainer` or `ModelCheckpoint` wrote, with any suffix.
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
    def predict(self, photos: Path | str | bytes | Image) -> Prediction: ...
    @overload
    def predict(self, photos: list[Any] | tuple[Any, ...] | Iterator[Any]) -> list[Prediction]: ...
    @overload
    def predict(self, photos: Any, *, channels: Channels = "rgb") -> Any: ...
    def predict(self, photos: Any, *, channels: Channels = "rgb") -> Any:
        """Classify one photo, or several.

        A photo is a path, the bytes of a photo file, a file object that reads bytes, a PIL image, or an array or tensor
        of pixels: shape (H, W, 3), (H, W, 4) or (H, W), or for tensors (3, H, W); 0 to 255, or floating-point numbers
        of 0 to 1, before any normalization. Several photos are an iterable of these, a batch of arrays, or a pattern
        such as ``"new/*.jpg"``. The prediction for a file does not depend on the form. Pixels of a large JPEG that was
        decoded elsewhere differ slightly, because regraft decodes it at the size that it needs.

        Args:
            photos: one photo, or several.
            channels: order of the channels of arrays and tensors: ``"rgb"``, or ``"bgr"`` as OpenCV has them.

        Returns:
            A `Prediction` for one photo, a list of them for several. A photo that cannot be read gives a `Prediction`
            with an ``error`` instead of a label.

        Raises:
            ConfigError: something is not a photo in any of these forms, or an array has other values.
            PhotosError: an address in the web, or a pattern that matches nothing.
        """
        predictions = list(self.stream(photos, channels=channels))
        return predictions[0] if is_one_photo(photos) else predictions

    def stream(self, paths: Any, bar: Bar | None = None, *, channels: Channels = "rgb") -> Iterator[Prediction]:
        """Yield a prediction for each of some photos in any form of `predict`, in order and in bounded memory."""
        for in_memory, forms in itertools.groupby(photo_forms(paths, channels), lambda one: isinstance(one, Picture)):
            predicted: Any = self._predict_pictures if in_memory else self._predict_paths
            while chunk := list(itertools.islice(forms, STREAM_CHUNK)):
                yield from predicted(chunk, bar)

    def scores(self, entries: Sequence[Entry], *, store: FeatureStore | None = None, bar: Bar | None = None) -> Scores:
        """Return the probabilities for ``entries``; features in ``store`` are not computed again.

        ``bar`` advances `passes` times for each photo.
        """
        values, rows, failed, novelty = self._view_scores(entries, 0, store, bar)
        for view in range(1, self.views):
            more, left, missing, _ = self._view_scores([entries[row] for row in rows.tolist()], view, store, bar)
            failed += [(int(rows[position]), why) for position, why in missing]  # removed since the first view
            values, rows = values[left] + more, rows[left]
            novelty = None if novelty is None else novelty[left]
        return Scores(values / self.views, rows, tuple(sorted(failed)), novelty)

    @property
    def passes(self) -> int:
        """Number of passes for each photo: one for each view and each network; shared lower blocks are one network."""
        return self.views * len(self._passes)

    def _view_scores(
        self, entries: Sequence[Entry], view: int, store: FeatureStore | None, bar: Bar | None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], list[tuple[int, str]], NDArray[np.float64] | None]:
        """Return probabilities of a view of photos, their positions, failures by position, and their novelty."""
        novelties: list[NDArray[np.float64]] = []
        logits: dict[int, NDArray[np.float64]] = {}
        rows, failed = np.arange(len(entries), dtype=np.int64), list[tuple[int, str]]()
        for network in self._passes:
            features = network.features([entries[row] for row in rows.tolist()], view, store, bar)
            failed += [(int(rows[position]), why) for position, why in features.failed]
            logits = {member: earlier[features.rows] for member, earlier in logits.items()}
            logits |= {head.member: head.logits(features.values) for head in network.heads}
            novelties = [earlier[features.rows] for earlier in novelties] + network.novelties(features.values)
            rows = rows[features.rows]
        return self._probabilities(logits), rows, failed, mean_novelty(novelties)

    def _probabilities(self, logits: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the probabilities for the logits of each member, shape (n, C): logits of a group are added."""
        out = np.zeros_like(logits[0])
        for row in range(len(out)):
            members = (logits[member] for member in range(len(logits)))
            for size, weight in zip(self._sizes, self._weights, strict=True):
                total = np.add.reduce([next(members)[row] for _ in range(size)])
                exponent = np.exp(total - total.max())
                out[row] += weight * (exponent / exponent.sum())
        return out

    def _predict_paths(self, paths: Sequence[Path], bar: Bar | None) -> Iterator[Prediction]:
        scores = self.scores([_entry(path, hashed=self.views > 2) for path in paths], bar=bar)
        rows = {int(row): position for position, row in enumerate(scores.rows)}
        failed = dict(scores.failed)
        for position, path in enumerate(paths):
            if position in rows:
                novelty = None if scores.novelty is None else float(scores.novelty[rows[position]])
                yield self._prediction(str(path), scores.values[rows[position]], novelty)
            else:
                yield Prediction(str(path), None, None, (), failed[position])

    def _predict_pictures(self, pictures: Sequence[Picture], bar: Bar | None) -> Iterator[Prediction]:
        """Yield a prediction for each of some pictures in memory."""
        values, failed = np.zeros((len(pictures), len(self.classes))), dict[int, str]()
        novelty: NDArray[np.float64] | None = None
        for view in range(self.views):
            logits: dict[int, NDArray[np.float64]] = {}
            novelties: list[NDArray[np.float64]] = []
            for network in self._passes:
                features = network.picture_features(pictures, view, failed, bar)
                logits |= {head.member: head.logits(features) for head in network.heads}
                novelties += network.novelties(features)
            values += self._probabilities(logits)
            novelty = mean_novelty(novelties) if view == 0 else novelty
        for position, picture in enumerate(pictures):
            if position in failed:
                yield Prediction(picture.name, None, None, (), failed[position])
            else:
                own = None if novelty is None else float(novelty[position])
                yield self._prediction(picture.name, values[position] / self.views, own)

    def _prediction(self, path: str, values: NDArray[np.float64], novelty: float | None) -> Prediction:
        order = np.argsort(-values, kind="stable")
        top = tuple((self.classes[i], float(values[i])) for i in order)
        unsure = self.reject_below is not None and top[0][1] < self.reject_below
        return Prediction(path, top[0][0], top[0][1], top, unsure=unsure, novelty=novelty)


def _groups(classifier: Classifier | Ensemble) -> tuple[Sequence[Sequence[Classifier]], tuple[float, ...]]:
    """Return the groups of an ensemble and their weights; a classifier is a group of one."""
    if isinstance(classifier, Ensemble):
        return classifier.groups, classifier.weights
    return [[classifier]], (1.0,)


def _passes(
    members: Sequence[Classifier], engine: str | None, device: torch.device, workers: int | None
) -> Iterator[NetworkPass]:
    """Yield the passes that compute the features of all ``members``."""
    titles = [member.facts.get("engine", REFERENCE) if engine is None else engine for member in members]
    for network in shared_networks(members):
        heads = [
            HeadLogits(members[member], member, start)
            for member, start in zip(network.members, network.starts, strict=True)
        ]
        title = {titles[member] for member in network.members}
        yield NetworkPass(network.backbone, heads, title.pop() if len(title) == 1 else REFERENCE, device, workers)


def _check_classifier(classifier: object) -> None:
    """Raise `ConfigError` unless ``classifier`` is a plain backbone with a linear head, or a plain ensemble of them."""
    module = getattr(classifier, "module", None)
    if not isinstance(classifier, (Classifier, Ensemble)):
        hint = ": pass its module" if isinstance(module, (Classifier, Ensemble)) else ""
        raise ConfigError(f"classifier: expected a Classifier, found a {type(classifier).__name__}{hint}")
    if type(classifier).forward not in (Classifier.forward, Ensemble.forward):
        raise ConfigError(
            f"classifier: {type(classifier).__name__} overrides forward, which a Predictor does not call; "
            "predict with Trainer.predict"
        )


def _entry(path: Path, *, hashed: bool) -> Entry:
    content = ""
    if hashed:
        with contextlib.suppress(OSError):  # decoding reports the error
            content = hashlib.sha256(read_regular(path)).hexdigest()
    return Entry(str(path), path, content, "")
