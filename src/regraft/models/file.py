"""The model file: one safetensors file that is enough to predict, read without trust in what it says."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from regraft.disk.atomic import atomic
from regraft.disk.safetensors_header import Header, HeaderError, read_header
from regraft.errors import BackboneError, ModelFileError, several
from regraft.models.backbone import Backbone
from regraft.models.checksums import tensors_checksum
from regraft.models.classifier import Classifier
from regraft.models.file_format import FormatError, ModelMetadata
from regraft.models.names import configuration
from regraft.models.spec import BackboneSpec
from regraft.models.weights import misfits
from regraft.models.zoo import create_network

T = TypeVar("T")

_BACKBONE, _HEAD = "backbone.", "head."


def save_classifier(path: Path | str, classifier: Classifier, extra: Mapping[str, str] | None = None) -> None:
    """Write ``classifier`` to ``path``, whole or not at all; equal classifiers give equal files.

    Args:
        path: of the file; its folder must exist.
        classifier: what to write.
        extra: further facts to keep in the file, text by key.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {f"{_BACKBONE}{name}": value for name, value in classifier.backbone.network.state_dict().items()}
    tensors |= {f"{_HEAD}{name}": value for name, value in classifier.head.state_dict().items()}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    metadata = ModelMetadata(classifier.classes, classifier.backbone.spec, dict(extra or {}), "")
    metadata = replace(metadata, sha256=_checksum(metadata, tensors))
    with atomic(path) as temporary:
        try:
            save_file(tensors, temporary, metadata.as_text())
        except SafetensorError as error:  # the disk refused; the number is in the text alone
            number = int((re.findall(r"os error (\d+)", str(error)) or [errno.EIO])[0])
            raise OSError(number, os.strerror(number), str(path)) from error


def load_classifier(path: Path | str) -> Classifier:
    """Read a classifier from a file that `save_classifier` wrote. No code in the file is run.

    Raises:
        ModelFileError: there is no such file, or it is damaged, truncated or foreign.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    header, metadata = _read(path)
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path} cannot be read: {error}") from error
    if _checksum(metadata, tensors) != metadata.sha256:
        raise ModelFileError(f"{path} is damaged: its checksum differs from what was written")
    _check_shapes(path, header, metadata)
    return _assemble(path, metadata, tensors)


def read_metadata(path: Path | str) -> ModelMetadata:
    """Return what the model file at ``path`` says of itself; its tensors are not read.

    Raises:
        ModelFileError: there is no such file, or it is damaged, truncated or foreign.
    """
    return _read(Path(path))[1]


def _read(path: Path) -> tuple[Header, ModelMetadata]:
    if not path.is_file():
        raise ModelFileError(f"no such model file: {path}")
    try:
        header = read_header(path)
        return header, ModelMetadata.from_text(header.metadata)
    except (HeaderError, FormatError) as error:
        raise ModelFileError(f"{path} is not a usable model file: {error}") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error


def _check_shapes(path: Path, header: Header, metadata: ModelMetadata) -> None:
    """Compare the tensors that the file claims with those of its network, before either takes any memory."""
    spec = metadata.backbone
    head = (len(metadata.classes), spec.num_features)
    if header.shapes.get(f"{_HEAD}weight") != head or header.shapes.get(f"{_HEAD}bias") != head[:1]:
        raise ModelFileError(f"{path} is not a usable model file: its head does not fit its {head[0]} classes")
    with torch.device("meta"):
        claimed = {name: torch.empty(shape) for name, shape in _of_backbone(header.shapes).items()}
        problems = misfits(_network(path, spec).state_dict(), claimed)
    if problems:
        raise ModelFileError(several(f"{path} does not fit {spec.name} of this timm", problems))


def _assemble(path: Path, metadata: ModelMetadata, tensors: Mapping[str, torch.Tensor]) -> Classifier:
    network = _network(path, metadata.backbone)
    network.load_state_dict(_of_backbone(tensors), strict=False)  # compared before; counters may be absent
    classifier = Classifier(Backbone(network, metadata.backbone), metadata.classes, own=True)
    classifier.set_head(tensors[f"{_HEAD}weight"], tensors[f"{_HEAD}bias"])
    return classifier


def _network(path: Path, spec: BackboneSpec) -> nn.Module:
    wanted = (spec.preprocessing.height, spec.preprocessing.width)
    try:
        usual = tuple(configuration(spec.name).input_size[1:])
        return create_network(spec.name, None if wanted == usual else wanted[0], filled=False)
    except BackboneError as error:
        raise ModelFileError(f"{path} is not usable with this version of timm: {error}") from error


def _of_backbone(values: Mapping[str, T]) -> dict[str, T]:
    return {name.removeprefix(_BACKBONE): value for name, value in values.items() if name.startswith(_BACKBONE)}


def _checksum(metadata: ModelMetadata, tensors: Mapping[str, torch.Tensor]) -> str:
    said = json.dumps(replace(metadata, sha256="").as_text(), sort_keys=True)
    return hashlib.sha256(f"{said}\n{tensors_checksum(tensors)}".encode()).hexdigest()
