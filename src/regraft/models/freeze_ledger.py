"""Freeze ledger: the frozen and the trained blocks of a classifier, with checksums that prove it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from regraft.models.backbone import Backbone
from regraft.models.blocks import HEAD, Block, blocks_of_modules, has_running_statistics, normalization_kind
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble, members_of
from regraft.tensors import tensors_checksum


def block_checksums(classifier: Classifier) -> dict[str, str]:
    """Return the SHA-256 of the parameters and buffers of each block, by name, bottom to top; the head comes last."""
    network = classifier.backbone.network
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    checksums = {
        block.name: tensors_checksum({name: tensors[name] for name in (*block.parameters, *block.buffers)})
        for block in classifier.backbone.blocks
    }
    return {**checksums, HEAD: tensors_checksum(dict(classifier.head.named_parameters()))}


def freeze_ledger(
    classifier: Classifier, before: Mapping[str, str] | None, rates: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return a row for each block, bottom to top, and one for the head.

    Args:
        classifier: the classifier after training.
        before: result of `block_checksums` before training; None if there was no training.
        rates: peak learning rate of each trained block, by name.

    Returns:
        Rows of plain JSON types: ``block``, ``parameters`` (their number), ``trainable``, ``normalisation``,
        ``learning_rate`` (None if frozen), ``before`` and ``after`` (SHA-256 of parameters and buffers).
    """
    backbone = classifier.backbone
    after = block_checksums(classifier)
    start = after if before is None else before
    parameters = dict(backbone.network.named_parameters())
    trained = set(backbone.trainable_blocks)
    modes = _normalization_modes(
        backbone.network, backbone.blocks, [backbone.trains_statistics(i) for i in range(len(after))]
    )
    rows = [
        _row(
            block.name,
            sum(parameters[name].numel() for name in block.parameters),
            block.name in trained,
            mode,
            rates,
            (start[block.name], after[block.name]),
        )
        for block, mode in zip(backbone.blocks, modes, strict=True)
    ]
    count = sum(p.numel() for p in classifier.head.parameters())
    return [*rows, _row(HEAD, count, True, "none", rates, (start[HEAD], after[HEAD]))]


def model_checksums(model: Classifier | Ensemble) -> list[dict[str, str]]:
    """Return the result of `block_checksums` for each member of ``model``."""
    return [block_checksums(member) for member in members_of(model)]


def model_ledger(
    model: Classifier | Ensemble, before: Sequence[Mapping[str, str]] | None, rates: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return the rows of `freeze_ledger` for all members of ``model``.

    Args:
        model: the classifier, or several as one, after training.
        before: result of `model_checksums` before training; None if there was no training.
        rates: peak learning rate of each trained block, by name.

    Returns:
        Rows as of `freeze_ledger`. Those of several networks have ``member`` (its number) and ``network`` (its name).
    """
    members = members_of(model)
    starts = [None] * len(members) if before is None else before
    ledgers = [freeze_ledger(member, start, rates) for member, start in zip(members, starts, strict=True)]
    if len(members) == 1:
        return ledgers[0]
    return [
        {"member": number, "network": member.backbone.spec.name, **row}
        for number, (member, rows) in enumerate(zip(members, ledgers, strict=True))
        for row in rows
    ]


def relative_changes(model: Classifier | Ensemble, rows: Sequence[Mapping[str, Any]], start: Backbone) -> list[Any]:
    """Return how far the parameters of each row's block moved: the norm of their change as a share of their norm.

    Args:
        model: the classifier, or several as one, after training.
        rows: result of `model_ledger`.
        start: the pretrained network that trained members began with.

    Returns:
        A number for each row: 0 for a block with unchanged parameters and buffers; None for a head, which has no
        pretrained parameters.
    """
    members, initial = members_of(model), dict(start.network.named_parameters())
    out: list[float | None] = []
    for row in rows:
        if row["before"] == row["after"] or row["block"] == HEAD:
            out.append(None if row["block"] == HEAD else 0.0)
            continue
        backbone = members[row.get("member", 0)].backbone
        now = dict(backbone.network.named_parameters())
        (names,) = (block.parameters for block in backbone.blocks if block.name == row["block"])
        pairs = [(now[name].detach().double().cpu(), initial[name].detach().double().cpu()) for name in names]
        change = sum(float((a - b).square().sum()) for a, b in pairs)
        size = sum(float(b.square().sum()) for _, b in pairs)
        out.append(math.sqrt(change / size) if size else None)
    return out


def _row(
    name: str, count: int, trainable: bool, mode: str, rates: Mapping[str, float], checksums: tuple[str, str]
) -> dict[str, Any]:
    return {
        "block": name,
        "parameters": count,
        "trainable": trainable,
        "normalisation": mode,
        "learning_rate": rates.get(name) if trainable else None,
        "before": checksums[0],
        "after": checksums[1],
    }


def _normalization_modes(network: nn.Module, blocks: Sequence[Block], statistics: Sequence[bool]) -> list[str]:
    """Return the kinds of normalization in each block, and whether they use running or batch statistics."""
    modes: list[dict[str, None]] = [{} for _ in blocks]
    spans = blocks_of_modules(network, blocks)
    for name, module in network.named_modules():
        kind = normalization_kind(module)
        if len(spans[name]) != 1 or (kind is None and not has_running_statistics(module)):
            continue
        (index,) = spans[name]
        kind = kind or "normalisation"
        mode = "batch statistics" if statistics[index] else "inference"
        modes[index][f"{kind}, {mode}" if has_running_statistics(module) else kind] = None
    return [" + ".join(kinds) or "none" for kinds in modes]
