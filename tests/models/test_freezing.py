"""Frozen means: not a bit of it changes, whatever is done around it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regraft.data.preprocessing import Preprocessing
from regraft.errors import ConfigError
from regraft.models.backbone import Backbone
from regraft.models.classifier import Classifier
from regraft.models.freeze_ledger import block_checksums
from regraft.models.spec import BackboneSpec
from regraft.models.zoo import build_backbone, create_network

FAMILIES = {
    "test_resnet": nn.BatchNorm2d,  # convolution, batch norm
    "test_efficientnet_gn": nn.GroupNorm,  # convolution, group norm
    "test_convnext": nn.LayerNorm,  # convolution, layer norm
    "test_vit": nn.LayerNorm,  # attention, layer norm
    "test_maxvit": nn.BatchNorm2d,  # both, batch and layer norm
}


def tensors_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def bytes_of(module: nn.Module) -> dict[str, bytes]:
    return {name: value.detach().contiguous().numpy().tobytes() for name, value in tensors_of(module).items()}


def moved_in(classifier: Classifier, before: dict[str, bytes]) -> set[str]:
    after = bytes_of(classifier.backbone.network)
    return {name for name in before if before[name] != after[name]}


def steps(classifier: Classifier, n: int = 3, *, lr: float = 1e-2) -> None:
    """Train with everything that could move what is frozen: weight decay, momentum, all parameters handed over."""
    torch.manual_seed(1)
    p = classifier.backbone.spec.preprocessing
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=lr, weight_decay=0.1)
    classifier.train()
    for _ in range(n):
        x = torch.randn(4, 3, p.height, p.width) * 2 + 1
        loss = nn.functional.cross_entropy(classifier(x), torch.tensor([0, 1, 2, 0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.fixture(params=FAMILIES)
def classifier(request) -> Classifier:
    size = None if request.param in {"test_vit", "test_maxvit"} else 64
    backbone = build_backbone(request.param, pretrained=False, size=size)
    assert any(isinstance(m, FAMILIES[request.param]) for m in backbone.network.modules())
    found = Classifier(backbone, ["ant", "bee", "cat"])
    nn.init.normal_(found.head.weight, std=0.1)
    return found


def test_not_a_byte_of_a_frozen_backbone_changes(classifier):
    before = bytes_of(classifier.backbone.network)
    head = classifier.head.weight.detach().clone()
    steps(classifier)
    assert not moved_in(classifier, before)
    assert not torch.equal(head, classifier.head.weight)
    assert not any(p.requires_grad for p in classifier.backbone.parameters())


def test_not_a_byte_changes_when_others_switch_the_mode(classifier):
    before = bytes_of(classifier.backbone.network)
    for switch in (classifier.train, classifier.backbone.train, classifier.backbone.network.train):
        classifier.eval()
        switch()
        classifier(torch.randn(2, 3, *size_of(classifier)))
        assert not any(m.training for m in classifier.backbone.network.modules())
    assert not moved_in(classifier, before)


def size_of(classifier: Classifier) -> tuple[int, int]:
    p = classifier.backbone.spec.preprocessing
    return p.height, p.width


@pytest.mark.parametrize("norm_statistics", [False, True])
def test_after_a_partial_unfreeze_only_the_trained_blocks_move(classifier, norm_statistics):
    classifier.unfreeze(2, norm_statistics=norm_statistics)
    blocks = classifier.backbone.blocks
    assert classifier.trainable_blocks == tuple(b.name for b in blocks[-2:])
    before, checksums = bytes_of(classifier.backbone.network), block_checksums(classifier)
    steps(classifier)
    moved, after = moved_in(classifier, before), block_checksums(classifier)
    for block in blocks[:-2]:
        assert not moved & {*block.parameters, *block.buffers}, block.name
        assert checksums[block.name] == after[block.name]
    matrices = {n for b in blocks[-2:] for n in b.parameters if tensors_of(classifier.backbone.network)[n].ndim > 1}
    assert matrices <= moved
    assert all(checksums[b.name] != after[b.name] for b in blocks[-2:])
    statistics = {n for b in blocks[-2:] for n in b.buffers if "running" in n or "batches" in n}
    assert moved & statistics == (statistics if norm_statistics else set())
    buffers = {n for b in blocks for n in b.buffers} - statistics
    assert not moved & buffers


def test_freeze_undoes_unfreeze(classifier):
    classifier.unfreeze("all", norm_statistics=True)
    assert all(p.requires_grad for p in classifier.parameters())
    classifier.freeze()
    before = bytes_of(classifier.backbone.network)
    steps(classifier)
    assert not moved_in(classifier, before)


def test_frozen_blocks_draw_nothing_and_trained_ones_do():
    network = create_network("test_resnet", 64, drop_path_rate=0.5, zero_init_last=False)
    spec = BackboneSpec("test_resnet", "random", "nothing", None, None, 96, 1, Preprocessing(height=64, width=64))
    backbone = Backbone(network, spec)
    backbone.train()
    x = torch.randn(16, 3, 64, 64)
    assert torch.equal(backbone(x), backbone(x))
    backbone.unfreeze("layer4")
    with torch.no_grad():
        assert not torch.equal(backbone(x), backbone(x))
    backbone.freeze()
    assert torch.equal(backbone(x), backbone(x))


def test_normalisation_of_a_trained_block_is_affine_only_by_default():
    backbone = build_backbone("test_resnet", pretrained=False, size=64)
    backbone.unfreeze("all")
    backbone.train()
    norms = [m for m in backbone.network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(m.training for m in norms)
    assert all(m.weight.requires_grad for m in norms)
    assert backbone.network.layer4.training
    backbone.unfreeze("layer4", norm_statistics=True)
    assert backbone.network.layer4[0].bn1.training
    assert not backbone.network.layer3[0].bn1.training
    backbone.eval()
    assert not backbone.network.layer4[0].bn1.training


def test_only_trained_blocks_build_a_graph(classifier):
    classifier.unfreeze(1)
    classifier.train()
    classifier(torch.randn(2, 3, *size_of(classifier))).sum().backward()
    trained = set(classifier.backbone.blocks[-1].parameters)
    graded = {n for n, p in classifier.backbone.network.named_parameters() if p.grad is not None}
    assert graded
    assert graded <= trained


@pytest.mark.parametrize(
    ("what", "trained"),
    [
        (0, ()),
        (1, ("layer4",)),
        ("all", ("stem", "layer1", "layer2", "layer3", "layer4")),
        (["layer4", "layer2"], ("layer2", "layer4")),
        ("layer[12]", ("layer1", "layer2")),
        (("stem",), ("stem",)),
    ],
)
def test_blocks_are_chosen_by_number_and_by_name(what, trained):
    backbone = build_backbone("test_resnet", pretrained=False, size=64)
    backbone.unfreeze(what)
    assert backbone.trainable_blocks == trained


def test_unfreezing_adds_to_what_is_trained():
    backbone = build_backbone("test_resnet", pretrained=False, size=64)
    backbone.unfreeze(1)
    backbone.unfreeze("stem")
    assert backbone.trainable_blocks == ("stem", "layer4")


def test_unknown_blocks_are_named_all_at_once():
    backbone = build_backbone("test_resnet", pretrained=False, size=64)
    with pytest.raises(ConfigError, match="expected 0 to 5 blocks, found 6"):
        backbone.unfreeze(6)
    with pytest.raises(ConfigError, match="expected 0 to 5 blocks, found -1"):
        backbone.unfreeze(-1)
    with pytest.raises(
        ConfigError, match=r"'layer9'; did you mean 'layer\d'(.|\n)*'stme'; did you mean 'stem'"
    ) as caught:
        backbone.unfreeze(["layer9", "stme", "layer1"])
    assert "blocks: stem, layer1, layer2" in str(caught.value)
    assert backbone.trainable_blocks == ()
