"""An ensemble as named tensors: a prefix for each member, and equal weights of two members only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from regraft.errors import ConfigError, ModelFileError
from regraft.models.classifier_tensors import BACKBONE, classifier_from_tensors, classifier_tensors
from regraft.models.ensemble import Ensemble
from regraft.models.ensemble_metadata import EnsembleMetadata, MemberMetadata
from regraft.models.model_metadata import ModelMetadata


def ensemble_tensors(ensemble: Ensemble, extra: Mapping[str, str]) -> tuple[dict[str, torch.Tensor], EnsembleMetadata]:
    """Return the tensors of ``ensemble`` for a file, and the metadata without its checksum.

    Names begin with the number of the member. A weight of a backbone that equals that of an earlier member of the same
    network is left out.

    Args:
        ensemble: the ensemble.
        extra: further text by key to save.
    """
    tensors: dict[str, torch.Tensor] = {}
    earlier: list[dict[str, torch.Tensor]] = []
    members: list[MemberMetadata] = []
    for number, member in enumerate(ensemble.members):
        complete = classifier_tensors(member)
        spec = member.backbone.spec
        base = _best_base(complete, earlier)
        shared = set() if base is None else _equal_weights(complete, earlier[base])
        members.append(MemberMetadata(spec, dict(member.facts), base))
        tensors |= {f"{number}.{name}": value for name, value in complete.items() if name not in shared}
        earlier.append(complete)
    numbered = iter(members)
    groups = tuple(tuple(next(numbered) for _ in group) for group in ensemble.groups)
    return tensors, EnsembleMetadata(ensemble.classes, groups, ensemble.weights, dict(extra), "")


def ensemble_from_tensors(path: Path, metadata: EnsembleMetadata, tensors: Mapping[str, torch.Tensor]) -> Ensemble:
    """Return the ensemble that the tensors of a file contain.

    Args:
        path: name of the file in messages.
        metadata: its members, groups and weights.
        tensors: its tensors by name.

    Raises:
        ModelFileError: a tensor is missing, unexpected or has another shape, or a network is unknown.
    """
    named = [_of_member(number, tensors) for number in range(len(metadata.members))]
    foreign = len(tensors) - sum(map(len, named))
    if foreign:
        raise ModelFileError(
            f"{path} is not a usable model file: {foreign:,} of its {len(tensors):,} tensors belong to none of its "
            f"{len(named)} members"
        )
    classifiers = []
    for number, member in enumerate(metadata.members):
        if member.base is not None:  # an earlier member, and so complete already
            base = {name: value for name, value in named[member.base].items() if name.startswith(BACKBONE)}
            named[number] = base | named[number]
        described = ModelMetadata(metadata.classes, member.backbone, member.extra, "")
        classifiers.append(classifier_from_tensors(path, described, named[number]))
    numbered = iter(classifiers)
    groups = [[next(numbered) for _ in group] for group in metadata.groups]
    try:
        ensemble = Ensemble(groups, metadata.weights, own=True)
    except ConfigError as error:
        raise ModelFileError(f"{path} is not a usable model file: {error}") from error
    ensemble.facts = dict(metadata.extra)
    return ensemble


def _of_member(number: int, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    prefix = f"{number}."
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _best_base(complete: Mapping[str, torch.Tensor], earlier: Sequence[Mapping[str, torch.Tensor]]) -> int | None:
    """Return the number of the earlier member that shares most weights; None if none shares any."""
    shared = [len(_equal_weights(complete, other)) for other in earlier]
    return shared.index(max(shared)) if any(shared) else None


def _equal_weights(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> set[str]:
    """Return the names of the backbone's tensors that are equal to the bit in both; none if the networks differ."""
    first, second = ({name for name in tensors if name.startswith(BACKBONE)} for tensors in (one, other))
    return {name for name in first if _same_bits(one[name], other[name])} if first == second else set()


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))
