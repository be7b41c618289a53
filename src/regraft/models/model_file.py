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

import torch

from regraft.data.source import parse_class_names
from regraft.disk.atomic import atomic, make_folder
from regraft.disk.safetensors_file import HeaderError, read_header
from regraft.errors import ConfigError, ModelFileError, several
from regraft.models.backbone import Backbone
from regraft.models.classifier import Classifier
from regraft.models.classifier_tensors import classifier_from_tensors, classifier_tensors
from regraft.models.ensemble import Ensemble
from regraft.models.ensemble_metadata import EnsembleMetadata, metadata_from_text
from regraft.models.ensemble_tensors import ensemble_from_tensors, ensemble_tensors
from regraft.models.model_metadata import MODEL_KEY, FormatError, ModelMetadata
from regraft.models.trainer_file import FileContent, read_trainer_file
from regraft.tensors import tensors_checksum


def save_classifier(
    path: Path | str, classifier: Classifier | Ensemble, extra: Mapping[str, str] | None = None
) -> None:
    """Write ``classifier`` to ``path``, completely or not at all; equal classifiers give equal files.

    Args:
        path: file name; its folder must exist.
        classifier: the classifier, or several as one.
        extra: further text by key to save.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    metadata: ModelMetadata | EnsembleMetadata
    if isinstance(classifier, Ensemble):
        tensors, metadata = ensemble_tensors(classifier, extra or {})
    else:
        tensors = classifier_tensors(classifier)
        metadata = ModelMetadata(classifier.classes, classifier.backbone.spec, dict(extra or {}), "")
    metadata = replace(metadata, sha256=_checksum(metadata, tensors))
    with atomic(path) as temporary:
        try:
            save_file(tensors, temporary, metadata.as_text())
        except SafetensorError as error:  # the error number is only in the text
            number = int((re.findall(r"os error (\d+)", str(error)) or [errno.EIO])[0])
            raise OSError(number, os.strerror(number), str(path)) from error


def save_model_file(path: Path, classifier: Classifier | Ensemble, *, overwrite: bool = True) -> None:
    """Write the model file ``path`` for `Classifier.save` and `Ensemble.save`, after checking its arguments."""
    if path.suffix != ".safetensors":
        raise ConfigError(
            f"{path}: expected the name of a model file, which ends with .safetensors; "
            f"found {path.suffix or 'no ending'!r}"
        )
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; expected the name of a file, such as {path / 'model.safetensors'}")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists; pass overwrite=True to replace it")
    if isinstance(classifier, Classifier):
        classifier.linear_head()
    make_folder(path.parent)
    save_classifier(path, classifier, classifier.facts)


def load_classifier(
    path: Path | str, *, classes: Sequence[str] | None = None, backbone: Backbone | None = None
) -> Classifier | Ensemble:
    """Read a classifier, or several as one, from a file of `save_classifier` or of a `Trainer`.

    No code in the file is run.

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
        content = _read_model_file(path) or read_trainer_file(path)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error
    if content.metadata is None:
        return _with_description(path, content, classes, backbone)
    _check_user_arguments(path, content.metadata, classes, backbone)
    if isinstance(content.metadata, EnsembleMetadata):
        return ensemble_from_tensors(path, content.metadata, content.tensors)
    return classifier_from_tensors(path, content.metadata, content.tensors)


def read_metadata(path: Path | str) -> ModelMetadata | EnsembleMetadata:
    """Return the metadata of the model file at ``path`` without reading its tensors.

    Raises:
        ModelFileError: the file is missing, damaged, truncated, or not a model file.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"no such model file: {path}")
    try:
        return metadata_from_text(read_header(path).metadata)
    except (HeaderError, FormatError) as error:
        raise ModelFileError(f"{path} is not a usable model file: {error}") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_model_file(path: Path) -> FileContent | None:
    """Return the content of a model file; None for another file of weights, which `read_trainer_file` reads."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.is_file() and not _looks_like_model_file(path):
        return None
    metadata = read_metadata(path)
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
        return True  # `read_metadata` reports the reason


def _check_user_arguments(
    path: Path, metadata: ModelMetadata | EnsembleMetadata, classes: Sequence[str] | None, backbone: Backbone | None
) -> None:
    """Raise `ConfigError` if classes or backbone contradict the file."""
    problems = []
    if classes is not None and parse_class_names(classes) != metadata.classes:
        problems.append(f"classes: {', '.join(metadata.classes)} in the file, {', '.join(classes)} given")
    if isinstance(metadata, EnsembleMetadata):
        if backbone is not None:
            names = ", ".join(member.backbone.name for member in metadata.members)
            problems.append(f"backbone: {len(metadata.members)} networks in the file, {names}; one given")
    elif backbone is not None:
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
    return classifier_from_tensors(path, metadata, found.tensors)


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


def _checksum(metadata: ModelMetadata | EnsembleMetadata, tensors: Mapping[str, torch.Tensor]) -> str:
    said = json.dumps(replace(metadata, sha256="").as_text(), sort_keys=True)
    return hashlib.sha256(f"{said}\n{tensors_checksum(tensors)}".encode()).hexdigest()
