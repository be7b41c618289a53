"""The freeze ledger: a row for each block, with the checksums that prove what was trained."""

from __future__ import annotations

import torch

from regraft.models.classifier import Classifier
from regraft.models.freeze_ledger import block_checksums, freeze_ledger, relative_changes
from regraft.models.zoo import build_backbone


def test_the_ledger_tells_what_moved():
    classifier = Classifier(build_backbone("test_resnet", pretrained=False, size=64), ["a", "b"])
    classifier.unfreeze("layer3", norm_statistics=True)
    classifier.unfreeze("layer4")
    before = block_checksums(classifier)
    with torch.no_grad():
        for group in classifier.parameter_groups(0.1):
            for parameter in group["params"]:
                parameter.add_(1)
    rows = freeze_ledger(classifier, before, {"layer3": 1e-4, "layer4": 1e-3, "head": 1e-3})
    assert [row["block"] for row in rows] == ["stem", "layer1", "layer2", "layer3", "layer4", "head"]
    assert [row["trainable"] for row in rows] == [False, False, False, True, True, True]
    assert [row["before"] != row["after"] for row in rows] == [False, False, False, True, True, True]
    assert [row["learning_rate"] for row in rows] == [None, None, None, 1e-4, 1e-3, 1e-3]
    modes = [row["normalisation"] for row in rows]
    assert modes == [*["batch norm, inference"] * 3, "batch norm, batch statistics", "batch norm, inference", "none"]
    assert sum(row["parameters"] for row in rows) == sum(p.numel() for p in classifier.parameters())
    assert all(len(row["after"]) == 64 for row in rows)


def test_the_ledger_without_a_before_says_that_nothing_moved():
    backbone = build_backbone("test_vit", pretrained=False)
    rows = freeze_ledger(Classifier(backbone, ["a", "b"]), None, {})
    assert all(row["before"] == row["after"] for row in rows)
    assert {row["normalisation"] for row in rows} == {"none", "layer norm"}


def test_the_change_of_a_block_is_relative_to_its_pretrained_parameters():
    start = build_backbone("test_resnet", pretrained=False, size=64)
    classifier = Classifier(start, ["a", "b"])
    before = block_checksums(classifier)
    parameters = dict(classifier.backbone.network.named_parameters())
    (names,) = (block.parameters for block in classifier.backbone.blocks if block.name == "layer3")
    with torch.no_grad():
        for name in names:
            parameters[name].mul_(1.1)
    changes = relative_changes(classifier, freeze_ledger(classifier, before, {}), start)
    assert changes[:3] == [0.0, 0.0, 0.0] and abs(changes[3] - 0.1) < 1e-6
    assert changes[4:] == [0.0, None]
