"""The heads and the metadata of a model file, read by numpy; the weights of its networks are left where they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regraft.disk.safetensors_file import Header, HeaderError, read_header
from regraft.errors import ModelFileError
from regraft.inference.head_logits import HeadLogits
from regraft.models.ensemble_metadata import EnsembleMetadata, metadata_from_text
from regraft.models.feature_novelty import NOVELTY, FeatureNovelty
from regraft.models.model_metadata import FormatError
from regraft.models.spec import BackboneSpec


@dataclass(frozen=True)
class HeadFile:
    """Everything in a model file except the networks.

    Attributes:
        classes: class names in the order of the outputs.
        heads: the head of each classifier.
        specs: the description of the network of each classifier.
        sizes: number of classifiers in each group.
        weights: weight of each group.
        facts: further text by key.
    """

    classes: tuple[str, ...]
    heads: tuple[HeadLogits, ...]
    specs: tuple[BackboneSpec, ...]
    sizes: tuple[int, ...]
    weights: tuple[float, ...]
    facts: dict[str, str]


def read_heads(path: Path, content: bytes) -> HeadFile:
    """Return the heads of a model file.

    Args:
        path: the file.
        content: its bytes.

    Raises:
        ModelFileError: it is not a model file, or a head is not in single precision.
        OSError: it cannot be read.
    """
    try:
        header = read_header(path)
        metadata = metadata_from_text(header.metadata)
        tensors = _Tensors(header, content)
        if isinstance(metadata, EnsembleMetadata):
            specs = tuple(member.backbone for member in metadata.members)
            heads = tuple(_head(tensors, f"{number}.", number, spec) for number, spec in enumerate(specs))
            sizes, weights = tuple(len(group) for group in metadata.groups), metadata.weights
        else:
            specs, sizes, weights = (metadata.backbone,), (1,), (1.0,)
            heads = (_head(tensors, "", 0, metadata.backbone),)
        return HeadFile(metadata.classes, heads, specs, sizes, weights, dict(metadata.extra))
    except (HeaderError, FormatError, KeyError, ValueError) as error:
        raise ModelFileError(f"{path} is not a usable model file: {error}") from error


class _Tensors:
    def __init__(self, header: Header, content: bytes) -> None:
        self._header, self._content = header, content

    def names(self, prefix: str) -> list[str]:
        return [name for name in self._header.tensors if name.startswith(prefix)]

    def get(self, name: str) -> NDArray[np.float32]:
        entry = self._header.tensors[name]
        if entry.dtype != "F32":
            raise ValueError(f"{name}: expected single precision, found {entry.dtype}")
        start = self._header.data_begins + entry.begin
        count = (entry.end - entry.begin) // 4
        return np.frombuffer(self._content, "<f4", count, start).reshape(entry.shape)


def _head(tensors: _Tensors, prefix: str, number: int, spec: BackboneSpec) -> HeadLogits:
    weight = tensors.get(f"{prefix}head.weight").astype(np.float64)
    names = set(tensors.names(f"{prefix}head."))
    bias = tensors.get(f"{prefix}head.bias").astype(np.float64)
    bounds = None
    if f"{prefix}head.lower" in names:
        bounds = (tensors.get(f"{prefix}head.lower"), tensors.get(f"{prefix}head.upper"))
    start = f"{prefix}{NOVELTY}"
    values = {name.removeprefix(start): tensors.get(name) for name in tensors.names(start)}
    novelty = FeatureNovelty.from_arrays(values, spec.num_features) if values else None
    return HeadLogits(weight, bias, bounds, novelty, number)
