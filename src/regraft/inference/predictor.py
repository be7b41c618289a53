"""`Predictor`: a trained classifier with everything that is needed to use it on photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from regraft.errors import ConfigError
from regraft.features.engines.engine_choice import REFERENCE, certified_engine
from regraft.features.engines.engine_interface import Engine
from regraft.inference.close_answers import CloseAnswers
from regraft.inference.compared_engines import ComparedEngines
from regraft.inference.device import pick_device
from regraft.inference.head_logits import HeadLogits
from regraft.inference.network_pass import NetworkPass
from regraft.inference.pass_predictor import Mix, PassPredictor, checked_views
from regraft.inference.pictures import Channels, is_one_photo
from regraft.inference.prediction import Prediction, threshold_in_file
from regraft.inference.shared_network import shared_networks
from regraft.models.backbone import Backbone
from regraft.models.class_only import class_only
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.models.model_file import load_classifier
from regraft.models.model_place import find_model_file

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


class Predictor(PassPredictor):
    """A trained classifier in use, or several of them as one.

    A photo's probabilities have the same bits whatever other photos are predicted with it: the network runs on batches
    padded to one shape, and the head on one photo at a time. Several threads may use one predictor at the same time.

    Each member of an `Ensemble` has its own preprocessing and its own engine; the photo is decoded for each of them.
    Members that share half of their blocks or more, such as a probe and the network whose upper blocks were fine-tuned
    from it, run the shared blocks once.

    Args:
        classifier: the classifier, or an ensemble. The predictor takes a copy, so that later training changes no
            prediction, and predicting changes neither its mode nor its device.
        device: device of the network: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``, or a `torch.device`.
        workers: number of decoding threads; None for the default.
        engine: name of the engine on the CPU, used if it is installed and certified for the network, else torch. None:
            the engine in the classifier's file, which members of an ensemble have each for themselves. Engines that
            were compared with these replace them, except for photos whose answer is close.
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
        engine: str | ComparedEngines | None = None,
        views: int | None = None,
        own: bool = False,
    ) -> None:
        _check_classifier(classifier)
        views = checked_views(views, classifier.facts)
        self.classifier = classifier.eval() if own else classifier.snapshot()
        self.workers = workers
        groups, weights = _groups(self.classifier)
        members = [one for group in groups for one in group]
        mix, limit = Mix(tuple(len(group) for group in groups), weights), threshold_in_file(classifier.facts)
        title = None if isinstance(engine, ComparedEngines) else engine
        passes, close = list(_passes(members, title, pick_device(device), workers)), None
        if isinstance(engine, ComparedEngines):
            reference = PassPredictor(classifier.classes, passes, mix, views=views, reject_below=limit)
            close = CloseAnswers(lambda: reference, () if limit is None else (limit,))
            passes = engine.passes(passes, workers)
        super().__init__(classifier.classes, passes, mix, views=views, reject_below=limit, close_answers=close)

    @class_only
    def load(
        cls,  # noqa: N805 (as in a class method)
        path: Path | str,
        *,
        device: str | torch.device = "auto",
        workers: int | None = None,
        views: int | None = None,
        fastest: bool = False,
    ) -> Predictor:
        """Return a predictor for a run folder or a classifier's file, wherever it was copied.

        Args:
            path: a run folder; its ``model.safetensors``; a file of `Classifier.save` or `Ensemble.save`; or a file of
                a `Classifier` that `Trainer` or `ModelCheckpoint` wrote, with any suffix.
            device: as in the constructor.
            workers: number of decoding threads; None for the default.
            views: as in the constructor; None for the number that the training chose, usually 1.
            fastest: whether to use the fastest engine that answers as torch does on this machine, as ``regraft serve``
                does. The first call with a file compares the engines, which takes some seconds. Probabilities differ
                from those of torch by at most 0.0001; labels do not differ.

        Raises:
            ConfigError: ``views`` is not positive.
            ModelFileError: there is no model, or the file is damaged, truncated, not a classifier, or lacks classes and
                preprocessing.
        """
        file = find_model_file(Path(path))
        made: Any = cls
        open_with = partial(made, load_classifier(file), device=device, workers=workers, views=views, own=True)
        predictor: Predictor = open_with()
        if not fastest:
            return predictor
        from regraft.inference.fastest import fastest_engines  # it prepares, by means of predictors

        engines = fastest_engines(file, predictor).engines
        return predictor if engines is None else open_with(engine=engines)

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
        pairs = zip(network.members, network.starts, strict=True)
        heads = [head_of(members[member], member, start) for member, start in pairs]
        wanted = {titles[member] for member in network.members}
        title = wanted.pop() if len(wanted) == 1 else REFERENCE
        open_engine = partial(_opened, title, network.backbone, device)
        yield NetworkPass(network.backbone, heads, title, open_engine, workers)


def _opened(title: str, backbone: Backbone, device: torch.device) -> Engine:
    weights = backbone.weights_hash()
    engine = certified_engine(title, backbone, device, weights)
    engine.set_weights_hash(weights)
    return engine


def head_of(classifier: Classifier, member: int = 0, start: int = 0) -> HeadLogits:
    """Return the head of a classifier, which must not be trained any more.

    Args:
        classifier: the classifier.
        member: its number in the ensemble.
        start: column of its first feature among the features of the pass.
    """
    weight, bias = classifier.linear_head()
    bounds = classifier.feature_bounds
    return HeadLogits(
        weight.cpu().double().numpy(),
        bias.cpu().double().numpy(),
        None if bounds is None else (bounds[0].float().cpu().numpy(), bounds[1].float().cpu().numpy()),
        classifier.novelty,
        member,
        start,
    )


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
