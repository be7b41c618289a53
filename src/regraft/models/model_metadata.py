"""Metadata of a classifier's file: one JSON text.

A model file has it under the key ``regraft``, as the only key: safetensors writes several keys in random order, and
equal models must give equal files. A file that a `Trainer` writes of a classifier has it under the key
``regraft-classifier``, in addition to the metadata of every such file; the checksum covers both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regraft._version import __version__
from regraft.data.preprocessing import Preprocessing
from regraft.errors import ModelFileError, several
from regraft.models.spec import BackboneSpec

MODEL_KEY = "regraft"
CLASSIFIER_KEY = "regraft-classifier"
FORMAT = 1
_FIELDS = ("format", "version", "classes", "backbone", "extra", "sha256")


class FormatError(ValueError):
    """The metadata is not regraft's. The message gives the reason without the file's name."""


@dataclass(frozen=True)
class ModelMetadata:
    """Contents of a classifier's file except the tensors.

    Attributes:
        classes: class names in the order of the outputs. They are data: never use them as paths or markup.
        backbone: spec of the backbone.
        extra: further text by key.
        sha256: checksum of all tensors and the other fields; empty in the file of a `Trainer`.
        version: version of regraft that wrote the file.
    """

    classes: tuple[str, ...]
    backbone: BackboneSpec
    extra: dict[str, str]
    sha256: str
    version: str = __version__

    def as_text(self, key: str = MODEL_KEY) -> dict[str, str]:
        """Return the metadata for a file of tensors, text by key."""
        values = {
            "format": FORMAT,
            "version": self.version,
            "classes": list(self.classes),
            "backbone": self.backbone.as_dict(),
            "extra": self.extra,
            "sha256": self.sha256,
        }
        return {key: json.dumps(values, sort_keys=True)}

    @classmethod
    def from_text(cls, metadata: Mapping[str, str], key: str = MODEL_KEY) -> ModelMetadata:
        """Return the metadata from the result of `as_text`.

        Raises:
            FormatError: it is not regraft's, has a newer format, or is damaged.
        """
        values = parse_fields(metadata, key, newest=FORMAT)
        missing = [field for field in _FIELDS if field not in values]
        if missing:
            raise FormatError(f"its metadata lacks {', '.join(missing)}")
        return cls(
            parse_classes(values["classes"]),
            parse_spec(values["backbone"]),
            parse_extra(values["extra"]),
            str(values["sha256"]),
            str(values["version"]),
        )


def parse_classes(value: Any) -> tuple[str, ...]:
    """Return class names from the metadata.

    Raises:
        FormatError: they are not at least two different names.
    """
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise FormatError("its classes are not a list of names")
    if len(value) < 2 or len(set(value)) != len(value):
        raise FormatError("it names fewer than two different classes")
    return tuple(value)


def parse_extra(value: Any) -> dict[str, str]:
    """Return further text by key from the metadata.

    Raises:
        FormatError: a value is not text.
    """
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise FormatError("its extra values are not text")
    return value


def parse_spec(value: Any) -> BackboneSpec:
    """Return a backbone's spec from the metadata.

    Raises:
        FormatError: it is damaged.
    """
    try:
        return BackboneSpec.from_dict(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise FormatError(f"its description of the backbone is damaged: {error}") from error


def parse_fields(metadata: Mapping[str, str], key: str, *, newest: int) -> dict[str, Any]:
    """Return the fields of the metadata; only their format has been checked.

    Args:
        metadata: texts of the file by key.
        key: key of regraft's text.
        newest: the highest format that the caller reads.

    Raises:
        FormatError: it is not regraft's, has a newer format, or is damaged.
    """
    if key not in metadata:
        raise FormatError(
            "it contains tensors, but was not written by regraft; it may be usable as weights: --weights FILE"
        )
    try:
        values = json.loads(metadata[key])
    except (ValueError, RecursionError) as error:
        raise FormatError("its metadata is damaged") from error
    if not isinstance(values, dict) or type(values.get("format")) is not int:
        raise FormatError("its metadata is damaged")
    if values["format"] > newest:
        raise FormatError(f"it has format {values['format']}, and this regraft reads up to {newest}: upgrade regraft")
    return values


def backbone_in_metadata(metadata: Mapping[str, str]) -> BackboneSpec | None:
    """Return the backbone's spec from a classifier's file, or None for any other file."""
    try:
        return ModelMetadata.from_text(metadata, CLASSIFIER_KEY if CLASSIFIER_KEY in metadata else MODEL_KEY).backbone
    except FormatError:
        return None


def check_same_classifier(
    path: str, metadata: Mapping[str, str], classes: tuple[str, ...], preprocessing: Preprocessing
) -> None:
    """Compare the metadata of a file of weights with a classifier; a file without such metadata is accepted.

    Args:
        path: name of the file in messages.
        metadata: texts of the file by key.
        classes: class names of the classifier.
        preprocessing: that of its backbone; its input size may differ from that in the file.

    Raises:
        ModelFileError: the file has other classes, another order of classes, or another normalization of photos.
    """
    if CLASSIFIER_KEY not in metadata:
        return
    try:
        stored = ModelMetadata.from_text(metadata, CLASSIFIER_KEY)
    except FormatError as error:
        raise ModelFileError(f"{path} is not a usable file of weights: {error}") from error
    theirs = stored.backbone.preprocessing
    pairs = {
        "classes": (", ".join(stored.classes), ", ".join(classes)),
        "mean": (theirs.mean, preprocessing.mean),
        "std": (theirs.std, preprocessing.std),
    }
    problems = [f"{name}: {then} in the file, {now} here" for name, (then, now) in pairs.items() if then != now]
    if problems:
        raise ModelFileError(
            several(f"{path} belongs to another classifier", problems) + "\n  load that one with Classifier.load(FILE)"
        )
