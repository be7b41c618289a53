"""A classifier as named tensors: its tensors for a file, and the classifier from the tensors of a file.

Shapes are compared with those of the network before the network allocates memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from regraft.errors import BackboneError, ConfigError, ModelFileError, several
from regraft.models.backbone import Backbone
from regraft.models.catalogue import pretrained_config
from regraft.models.classifier import Classifier
from regraft.models.cut import NoCutError
from regraft.models.feature_novelty import NOVELTY, FeatureNovelty
from regraft.models.linear_head import BOUNDS, LinearHead
from regraft.models.model_metadata import ModelMetadata
from regraft.models.spec import BackboneSpec
from regraft.models.weights import weight_mismatches
from regraft.models.zoo import create_network

T = TypeVar("T")

BACKBONE, HEAD = "backbone.", "head."
"""Prefixes of the names of a classifier's tensors, with `NOVELTY`."""


def classifier_tensors(classifier: Classifier) -> dict[str, torch.Tensor]:
    """Return copies of all tensors of ``classifier`` by name, on the CPU."""
    tensors = {f"{BACKBONE}{name}": value for name, value in classifier.backbone.network.state_dict().items()}
    weight, bias = classifier.linear_head()
    tensors |= {f"{HEAD}weight": weight, f"{HEAD}bias": bias}
    tensors |= {f"{HEAD}{name}": value for name, value in zip(BOUNDS, classifier.feature_bounds or (), strict=False)}
    if classifier.novelty is not None:
        tensors |= {f"{NOVELTY}{name}": value for name, value in classifier.novelty.tensors().items()}
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def classifier_from_tensors(path: Path, metadata: ModelMetadata, tensors: Mapping[str, torch.Tensor]) -> Classifier:
    """Return the classifier that the tensors of a file contain.

    Args:
        path: name of the file in messages.
        metadata: classes and backbone.
        tensors: its tensors by name; the bias of the head and counters of seen batches may be missing.

    Raises:
        ModelFileError: a tensor is missing, unexpected or has another shape, or the network is unknown.
    """
    complete = _with_bias(path, tensors)
    _check_shapes(path, {name: tuple(tensor.shape) for name, tensor in complete.items()}, metadata)
    network = _network(path, metadata.backbone)
    network.load_state_dict(_backbone_tensors(complete), strict=False)  # compared before; counters may be missing
    classifier = Classifier(_backbone(path, network, metadata.backbone), metadata.classes, own=True)
    lower, upper = (complete.get(f"{HEAD}{name}") for name in BOUNDS)
    bounds = None if lower is None or upper is None else (lower, upper)
    try:
        classifier.set_head(complete[f"{HEAD}weight"], complete[f"{HEAD}bias"], bounds)
    except ConfigError as error:
        raise ModelFileError(f"{path} is not a usable model file: {error}") from error
    set_novelty(classifier, _novelty(path, complete, metadata))
    classifier.facts = dict(metadata.extra)
    return classifier


def set_novelty(classifier: Classifier, novelty: FeatureNovelty | None) -> None:
    """Let ``classifier`` measure how unlike the training photos the features of a photo are; training removes it."""
    if isinstance(classifier.head, LinearHead):
        classifier.head.novelty = novelty


def _novelty(path: Path, tensors: Mapping[str, torch.Tensor], metadata: ModelMetadata) -> FeatureNovelty | None:
    """Return the novelty in a file; None if it has none, as files of earlier versions."""
    own = {name.removeprefix(NOVELTY): value for name, value in tensors.items() if name.startswith(NOVELTY)}
    try:
        return FeatureNovelty.from_tensors(own, metadata.backbone.num_features) if own else None
    except ValueError as error:
        raise ModelFileError(f"{path} is not a usable model file: the novelty of its features: {error}") from error


def _with_bias(path: Path, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors with a bias of the head; zeros if the head has none.

    Raises:
        ModelFileError: the head is not a single linear layer, with or without bounds of its features.
    """
    others = [name for name in tensors if not name.startswith((BACKBONE, HEAD, NOVELTY))]
    if others:
        raise ModelFileError(
            f"{path} is not a usable model file: it contains {', '.join(others[:5])}, which a Classifier does not have"
        )
    own = {name for name in tensors if name.startswith(HEAD)}
    if own - {f"{HEAD}{name}" for name in ("weight", "bias", *BOUNDS)} or not own:
        raise ModelFileError(
            f"{path} is not a usable model file: its head is not one linear layer "
            f"(it has {', '.join(sorted(own)) or 'none'})\n"
            "  create the module as in training, load it with Trainer(module).load(FILE), and predict with "
            "Trainer.predict"
        )
    weight = tensors.get(f"{HEAD}weight")
    if weight is None or f"{HEAD}bias" in tensors:
        return dict(tensors)
    return {**tensors, f"{HEAD}bias": torch.zeros(len(weight), dtype=weight.dtype)}


def _check_shapes(path: Path, shapes: Mapping[str, tuple[int, ...]], metadata: ModelMetadata) -> None:
    """Compare the shapes in the file with those of its network, before either allocates memory."""
    spec = metadata.backbone
    head = (len(metadata.classes), spec.num_features)
    if shapes.get(f"{HEAD}weight") != head or shapes.get(f"{HEAD}bias") != head[:1]:
        raise ModelFileError(
            f"{path} is not a usable model file: its head does not match its {head[0]} classes (head.weight: expected "
            f"{head}, found {shapes.get(f'{HEAD}weight')})"
        )
    bounds = [shapes.get(f"{HEAD}{name}") for name in BOUNDS]
    if bounds not in ([None, None], [head[1:], head[1:]]):
        raise ModelFileError(
            f"{path} is not a usable model file: the bounds of its features do not match its {head[1]:,} features "
            f"(lower and upper: expected {head[1:]}, found {bounds[0]} and {bounds[1]})"
        )
    with torch.device("meta"):
        claimed = {name: torch.empty(shape) for name, shape in _backbone_tensors(shapes).items()}
        problems = weight_mismatches(_network(path, spec).state_dict(), claimed)
    if problems:
        raise ModelFileError(several(f"{path} does not match {spec.name} in the installed timm", problems))


def _network(path: Path, spec: BackboneSpec) -> nn.Module:
    wanted = (spec.preprocessing.height, spec.preprocessing.width)
    try:
        usual = tuple(pretrained_config(spec.name).input_size[1:])
        return create_network(spec.name, None if wanted == usual else wanted[0], random_init=False)
    except BackboneError as error:
        raise ModelFileError(f"{path} is not usable with the installed timm: {error}") from error


def _backbone(path: Path, network: nn.Module, spec: BackboneSpec) -> Backbone:
    """Return the backbone of a network with its weights; it also returns pooled activations if ``spec`` says so."""
    plain = Backbone(network, replace(spec, num_features=spec.top_features, pooled=()))
    if not spec.pooled:
        return plain
    try:
        pooled = plain.with_pooled_depth()
    except NoCutError as error:
        raise ModelFileError(f"{path} is not usable with the installed timm: {error}") from error
    if pooled.spec != spec:
        raise ModelFileError(
            f"{path} does not match {spec.name} in the installed timm: expected blocks of {spec.pooled} channels, "
            f"found {pooled.spec.pooled}"
        )
    return pooled


def _backbone_tensors(values: Mapping[str, T]) -> dict[str, T]:
    return {name.removeprefix(BACKBONE): value for name, value in values.items() if name.startswith(BACKBONE)}
