"""Metadata of an ensemble's model file: format 2 of the one JSON text.

Versions of regraft that only read single classifiers refuse this format and ask for an upgrade.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regraft._version import __version__
from regraft.models.model_metadata import (
    MODEL_KEY,
    FormatError,
    ModelMetadata,
    parse_classes,
    parse_extra,
    parse_fields,
    parse_spec,
)
from regraft.models.spec import BackboneSpec

ENSEMBLE_FORMAT = 2
MAX_MEMBERS = 16
"""Maximum number of classifiers in an ensemble; it bounds the memory that a small model file can ask for."""

_FIELDS = ("version", "classes", "groups", "extra", "sha256")


@dataclass(frozen=True)
class MemberMetadata:
    """Description of one classifier of an ensemble.

    Attributes:
        backbone: spec of its backbone.
        extra: further text by key.
        base: number of an earlier member; weights of the backbone that are missing in the file are those of that
            member. None if the file contains all of them.
    """

    backbone: BackboneSpec
    extra: dict[str, str]
    base: int | None = None


@dataclass(frozen=True)
class EnsembleMetadata:
    """Contents of an ensemble's file except the tensors.

    Attributes:
        classes: class names in the order of the outputs. They are data: never use them as paths or markup.
        groups: members of each group; their numbers run through all groups.
        weights: weight of each group.
        extra: further text by key.
        sha256: checksum of all tensors and the other fields.
        version: version of regraft that wrote the file.
    """

    classes: tuple[str, ...]
    groups: tuple[tuple[MemberMetadata, ...], ...]
    weights: tuple[float, ...]
    extra: dict[str, str]
    sha256: str
    version: str = __version__

    @property
    def members(self) -> tuple[MemberMetadata, ...]:
        """Members of all groups, in order."""
        return tuple(member for group in self.groups for member in group)

    def as_text(self) -> dict[str, str]:
        """Return the metadata for a file of tensors, text by key."""
        groups = [
            {"weight": weight, "members": [_member_values(member) for member in group]}
            for group, weight in zip(self.groups, self.weights, strict=True)
        ]
        values = {
            "format": ENSEMBLE_FORMAT,
            "version": self.version,
            "classes": list(self.classes),
            "groups": groups,
            "extra": self.extra,
            "sha256": self.sha256,
        }
        return {MODEL_KEY: json.dumps(values, sort_keys=True)}


def is_mixed_with_its_probe(metadata: EnsembleMetadata) -> bool:
    """Return whether a run made the ensemble, of one network: its last member is fine-tuned, the others are not."""
    return "chosen" in metadata.extra and len({member.backbone.name for member in metadata.members}) == 1


def metadata_from_text(metadata: Mapping[str, str]) -> ModelMetadata | EnsembleMetadata:
    """Return the metadata of a model file: that of a classifier or of an ensemble.

    Raises:
        FormatError: it is not regraft's, has a newer format, or is damaged.
    """
    values = parse_fields(metadata, MODEL_KEY, newest=ENSEMBLE_FORMAT)
    if values["format"] < ENSEMBLE_FORMAT:
        return ModelMetadata.from_text(metadata)
    missing = [field for field in _FIELDS if field not in values]
    if missing:
        raise FormatError(f"its metadata lacks {', '.join(missing)}")
    groups, weights = _parse_groups(values["groups"])
    return EnsembleMetadata(
        parse_classes(values["classes"]),
        groups,
        weights,
        parse_extra(values["extra"]),
        str(values["sha256"]),
        str(values["version"]),
    )


def _member_values(member: MemberMetadata) -> dict[str, Any]:
    return {"backbone": member.backbone.as_dict(), "extra": member.extra, "base": member.base}


def _parse_groups(values: Any) -> tuple[tuple[tuple[MemberMetadata, ...], ...], tuple[float, ...]]:
    """Return the groups and their weights."""
    if not isinstance(values, list) or not 0 < len(values) <= MAX_MEMBERS:
        raise FormatError(f"its groups are not a list of 1 to {MAX_MEMBERS}")
    groups: list[tuple[MemberMetadata, ...]] = []
    weights: list[float] = []
    for group in values:
        members = group.get("members") if isinstance(group, dict) else None
        if not isinstance(members, list) or not 0 < len(members) <= MAX_MEMBERS:
            raise FormatError(f"a group is not a list of 1 to {MAX_MEMBERS} members")
        first = sum(map(len, groups))
        groups.append(tuple(_parse_member(member, first + index) for index, member in enumerate(members)))
        weight = group.get("weight")
        if not isinstance(weight, (int, float)) or isinstance(weight, bool) or not 0 < weight <= 1:
            raise FormatError("the weight of a group is not a number above 0, up to 1")
        weights.append(float(weight))
    if sum(map(len, groups)) > MAX_MEMBERS or abs(math.fsum(weights) - 1.0) > 1e-6:
        raise FormatError(f"it has more than {MAX_MEMBERS} members, or weights that do not sum to 1")
    return tuple(groups), tuple(weights)


def _parse_member(values: Any, number: int) -> MemberMetadata:
    if not isinstance(values, dict) or set(values) != {"backbone", "extra", "base"}:
        raise FormatError(f"its description of member {number} is damaged")
    base = values["base"]
    if base is not None and (type(base) is not int or not 0 <= base < number):
        raise FormatError(f"member {number} has an invalid base: expected an earlier member, found {base!r}")
    return MemberMetadata(parse_spec(values["backbone"]), parse_extra(values["extra"]), base)
