"""The model file: one safetensors file that is enough to predict. Its contents are checked before use."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from regraft.data.source import parse_class_names
from regraft.disk.atomic import atomic, make_folder
from regraft.disk.safetensors_file import Header, HeaderError, read_header
from regraft.errors import BackboneError, ConfigError, ModelFileError, several
from regraft.models.backbone import Backbone
from regraft.models.catalogue import pretrained_config
from regraft.models.classifier import Classifier
from regraft.models.model_metadata import MODEL_KEY, FormatError, ModelMetadata
from regraft.models.spec import BackboneSpec
from regraft.models.trainer_file import FileContent, read_trainer_file
from regraft.models.weights import weight_mismatches
from regraft.models.zoo import create_network
from regraft.run.folder import RunFolder
from regraft.tensors import tensors_checksum

T = TypeVar("T")

_BACKBONE, _HEAD = "backbone.", "head."
_WEIGHT_SUFFIXES = (".safetensors", ".keras", ".h5", ".hdf5", ".pt", ".pth", ".ckpt")


def save_classifier(path: Path | str, classifier: Classifier, extra: Mapping[str, str] | None = None) -> None:
    """Write ``classifier`` to ``path``, completely or not at all; equal classifiers give equal files.

    Args:
        path: file name; its folder must exist.
        classifier: the classifier.
        extra: further text by key to save.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {f"{_BACKBONE}{name}": value for name, value in classifier.backbone.network.state_dict().items()}
    weight, bias = classifier.linear_head()
    tensors |= {f"{_HEAD}weight": weight, f"{_HEAD}bias": bias}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    metadata = ModelMetadata(classifier.classes, classifier.backbone.spec, dict(extra or {}), "")
    metadata = replace(metadata, sha256=_checksum(metadata, tensors))
    with atomic(path) as temporary:
        try:
            save_file(tensors, temporary, metadata.as_text())
        except SafetensorError as error:  # the error number is only in the text
            number = int((re.findall(r"os error (\d+)", str(error)) or [errno.EIO])[0])
            raise OSError(number, os.strerror(number), str(path)) from error


def save_model_file(path: Path, classifier: Classifier, *, overwrite: bool = True) -> None:
    """Write the model file ``path`` for `Classifier.save`, after checking its arguments."""
    if path.suffix != ".safetensors":
        raise ConfigError(
            f"{path}: expected the name of a model file, which ends with .safetensors; "
            f"found {path.suffix or 'no ending'!r}"
        )
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; expected the name of a file, such as {path / 'model.safetensors'}")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists; pass overwrite=True to replace it")
    classifier.linear_head()
    make_folder(path.parent)
    save_classifier(path, classifier, classifier.facts)


def load_classifier(
    path: Path | str, *, classes: Sequence[str] | None = None, backbone: Backbone | None = None
) -> Classifier:
    """Read a classifier from a file of `save_classifier` or of a `Trainer`. No code in the file is run.

    Args:
        path: the file.
        classes: class names, for weights without metadata.
        backbone: a backbone like the trained one, for weights without metadata.

    Raises:
        ModelFileError: the file is missing, damaged, truncated, not a classifier, or lacks metadata.
        ConfigError: ``classes`` or ``backbone`` differ from those in the file.
    """
    path = Path(path)
    try:
        found = _read_model_file(path) or read_trainer_file(path)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error
    metadata = found.metadata
    if metadata is None:
        return _with_description(path, found, classes, backbone)
    _check_user_arguments(path, metadata, classes, backbone)
    tensors = _with_bias(path, found.tensors)
    _check_shapes(path, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, metadata)
    return _assemble(path, metadata, tensors)


def read_metadata(path: Path | str) -> ModelMetadata:
    """Return the metadata of the model file at ``path`` without reading its tensors.

    Raises:
        ModelFileError: the file is missing, damaged, truncated, or not a model file.
    """
    return _read_metadata(Path(path))[1]


def find_model_file(path: Path) -> Path:
    """Return the model file of ``path``: the path itself, or the model file in a run folder.

    Raises:
        ModelFileError: there is none.
    """
    if not path.exists():
        raise ModelFileError(f"no such run folder or model file: {path}")
    if not path.is_dir():
        return path
    inside = RunFolder(path).model
    if inside.exists():
        return inside
    why = "the run did not finish" if RunFolder(path).config.exists() else "it is not a run folder"
    others = sorted(one.name for one in path.iterdir() if one.suffix in _WEIGHT_SUFFIXES)
    more = f"\n  it contains {', '.join(others[:5])}: name that file" if others else ""
    raise ModelFileError(f"{path} contains no {inside.name}: {why}{more}")


def _read_model_file(path: Path) -> FileContent | None:
    """Return the content of a model file; None for another file of weights, which `read_trainer_file` reads."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.is_file() and not _looks_like_model_file(path):
        return None
    _, metadata = _read_metadata(path)
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path} cannot be read: {error}") from error
    if _checksum(metadata, tensors) != metadata.sha256:
        raise ModelFileError(f"{path} is damaged: its checksum differs from what was written")
    return FileContent(tensors, True, metadata, False)


def _looks_like_model_file(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4)
    if start in (b"PK\x03\x04", b"\x89HDF"):
        return False
    try:
        return MODEL_KEY in read_header(path).metadata
    except HeaderError:
        return True  # `_read_metadata` reports the reason


def _read_metadata(path: Path) -> tuple[Header, ModelMetadata]:
    if not path.is_file():
        raise ModelFileError(f"no such model file: {path}")
    try:
        header = read_header(path)
        return header, ModelMetadata.from_text(header.metadata)
    except (HeaderError, FormatError) as error:
        raise ModelFileError(f"{path} is not a usable model file: {error}") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error


def _check_user_arguments(
    path: Path, metadata: ModelMetadata, classes: Sequence[str] | None, backbone: Backbone | None
) -> None:
    """Raise `ConfigError` if classes or backbone contradict the file."""
    problems = []
    if classes is not None and parse_class_names(classes) != metadata.classes:
        problems.append(f"classes: {', '.join(metadata.classes)} in the file, {', '.join(classes)} given")
    if backbone is not None:
        own, given = metadata.backbone, backbone.spec
        if (own.name, own.preprocessing) != (given.name, given.preprocessing):
            problems.append(
                f"backbone: {own.name} of {own.preprocessing.id} in the file, "
                f"{given.name} of {given.preprocessing.id} given"
            )
    if problems:
        raise ConfigError(several(f"{path} contradicts the arguments", problems))


def _with_description(
    path: Path, found: FileContent, classes: Sequence[str] | None, backbone: Backbone | None
) -> Classifier:
    """Return a classifier for weights without metadata, described by the arguments.

    Raises:
        ModelFileError: the weights are not a classifier's or do not match, or an argument is missing.
    """
    if not found.classifier:
        raise ModelFileError(_not_a_classifier(path, found))
    if classes is None or backbone is None:
        raise ModelFileError(
            f"{path} contains the weights of a Classifier, but not its classes and its preprocessing\n"
            "  pass them once, as in training, and write a model file:\n"
            "  Classifier.load(FILE, backbone=build_backbone(NAME), classes=[...]).save('model.safetensors')"
        )
    names = parse_class_names(classes)
    metadata = ModelMetadata(names, backbone.spec, {}, "")
    tensors = _with_bias(path, found.tensors)
    _check_shapes(path, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, metadata)
    return _assemble(path, metadata, tensors)


def _not_a_classifier(path: Path, found: FileContent) -> str:
    if not found.trainer:
        return (
            f"{path} is not a usable model file: it contains tensors, but was not written by regraft; it may be usable "
            "as weights: --weights FILE"
        )
    few = ", ".join(list(found.tensors)[:3])
    return (
        f"{path} contains the weights of a module that is not a Classifier ({few} …), so that classes and "
        "preprocessing are unknown\n"
        "  load it into such a module with Trainer(module).load(FILE), and predict with Trainer.predict"
    )


def _with_bias(path: Path, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors with a bias of the head; zeros if the head has none.

    Raises:
        ModelFileError: the head is not a single linear layer.
    """
    others = [name for name in tensors if not name.startswith((_BACKBONE, _HEAD))]
    if others:
        raise ModelFileError(
            f"{path} is not a usable model file: it contains {', '.join(others[:5])}, which a Classifier does not have"
        )
    own = {name for name in tensors if name.startswith(_HEAD)}
    if own - {f"{_HEAD}weight", f"{_HEAD}bias"} or not own:
        raise ModelFileError(
            f"{path} is not a usable model file: its head is not one linear layer "
            f"(it has {', '.join(sorted(own)) or 'none'})\n"
            "  create the module as in training, load it with Trainer(module).load(FILE), and predict with "
            "Trainer.predict"
        )
    weight = tensors.get(f"{_HEAD}weight")
    if weight is None or f"{_HEAD}bias" in tensors:
        return dict(tensors)
    return {**tensors, f"{_HEAD}bias": torch.zeros(len(weight), dtype=weight.dtype)}


def _check_shapes(path: Path, shapes: Mapping[str, tuple[int, ...]], metadata: ModelMetadata) -> None:
    """Compare the shapes in the file with those of its network, before either allocates memory."""
    spec = metadata.backbone
    head = (len(metadata.classes), spec.num_features)
    if shapes.get(f"{_HEAD}weight") != head or shapes.get(f"{_HEAD}bias") != head[:1]:
        raise ModelFileError(
            f"{path} is not a usable model file: its head does not match its {head[0]} classes (head.weight: expected "
            f"{head}, found {shapes.get(f'{_HEAD}weight')})"
        )
    with torch.device("meta"):
        claimed = {name: torch.empty(shape) for name, shape in _backbone_tensors(shapes).items()}
        problems = weight_mismatches(_network(path, spec).state_dict(), claimed)
    if problems:
        raise ModelFileError(several(f"{path} does not match {spec.name} in the installed timm", problems))


def _assemble(path: Path, metadata: ModelMetadata, tensors: Mapping[str, torch.Tensor]) -> Classifier:
    network = _network(path, metadata.backbone)
    network.load_state_dict(_backbone_tensors(tensors), strict=False)  # compared before; counters may be missing
    classifier = Classifier(Backbone(network, metadata.backbone), metadata.classes, own=True)
    classifier.set_head(tensors[f"{_HEAD}weight"], tensors[f"{_HEAD}bias"])
    classifier.facts = dict(metadata.extra)
    return classifier


def _network(path: Path, spec: BackboneSpec) -> nn.Module:
    wanted = (spec.preprocessing.height, spec.preprocessing.width)
    try:
        usual = tuple(pretrained_config(spec.name).input_size[1:])
        return create_network(spec.name, None if wanted == usual else wanted[0], random_init=False)
    except BackboneError as error:
        raise ModelFileError(f"{path} is not usable with the installed timm: {error}") from error


def _backbone_tensors(values: Mapping[str, T]) -> dict[str, T]:
    return {name.removeprefix(_BACKBONE): value for name, value in values.items() if name.startswith(_BACKBONE)}


def _checksum(metadata: ModelMetadata, tensors: Mapping[str, torch.Tensor]) -> str:
    said = json.dumps(replace(metadata, sha256="").as_text(), sort_keys=True)
    return hashlib.sha256(f"{said}\n{tensors_checksum(tensors)}".encode()).hexdigest()
