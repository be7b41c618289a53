"""A network in two halves computes what the whole computes, to the bit, and trains the very modules of the network."""

from __future__ import annotations

import copy

import pytest
import torch

from regraft.models.backbone import Backbone
from regraft.models.blocks import split_blocks
from regraft.models.classifier import Classifier
from regraft.models.cut import NoCutError, cut_network
from regraft.models.timm_import import import_timm
from regraft.models.zoo import build_backbone, create_network

SIDE = 64


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return build_backbone("test_resnet", pretrained=False, size=32, seed=4)


CUT = (
    "test_resnet", "test_efficientnet", "test_efficientnet_ln", "test_vit", "test_vit2", "test_vit3", "test_convnext",
    "test_byobnet", "test_nfnet", "test_mambaout",
)  # fmt: skip


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if name not in import_timm().list_models():
        pytest.skip(f"this version of timm has no {name}")
    return create_network(name, SIDE if "vit" in name else None).eval()


@pytest.mark.parametrize("name", CUT)
def test_every_cut_of_many_families_gives_the_same_features(name: str) -> None:
    net = network(name)
    blocks = split_blocks(net)
    x = torch.randn(3, 3, SIDE, SIDE)
    with torch.inference_mode():
        whole = net(x)
        for at in range(1, len(blocks)):
            halves = cut_network(net, blocks, at, SIDE, SIDE)
            activations = halves.lower(x)
            assert tuple(activations.shape[1:]) == halves.shape
            assert torch.equal(halves.upper(activations), whole), blocks[at].name


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_the_halves_hold_what_lies_on_their_side(name: str) -> None:
    net = network(name)
    blocks = split_blocks(net)
    at = len(blocks) - 1
    halves = cut_network(net, blocks, at, SIDE, SIDE)
    own = {id(p) for name, p in net.named_parameters() if name in blocks[at].parameters}
    assert {id(p) for p in halves.upper.parameters()} == own
    assert not own & {id(p) for p in halves.lower.parameters()}


def test_more_than_one_value_between_blocks_is_no_cut() -> None:
    class TwoStreams(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(3, 4, 1)
            self.top = torch.nn.Conv2d(8, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.top(torch.cat([self.a(x), self.b(x)], 1)).mean((2, 3))

    net = TwoStreams().eval()
    blocks = split_blocks(net)
    with pytest.raises(NoCutError, match="values pass from the lower"):
        cut_network(net, blocks, 1, SIDE, SIDE)
    assert cut_network(net, blocks, 2, SIDE, SIDE).shape == (
        8,
        SIDE,
        SIDE,
    )
    for at in (0, 3):
        with pytest.raises(NoCutError, match="cannot cut below block"):
            cut_network(net, blocks, at, SIDE, SIDE)


def test_what_cannot_be_traced_is_no_cut_and_is_left_as_it_was() -> None:
    class ByValue(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(x)
            return self.b(x if x.mean() > 0 else -x).mean((2, 3))

    net = ByValue().train()
    with pytest.raises(NoCutError, match="ByValue cannot be cut below b"):
        cut_network(net, split_blocks(net), 1, SIDE, SIDE)
    assert all(module.training for module in net.modules())


def test_a_backbone_that_is_entered_at_the_cut_trains_its_own_upper_blocks(tiny: Backbone) -> None:
    classifier = Classifier(tiny, ["ant", "bee"])
    classifier.unfreeze(1)
    at = len(classifier.backbone.blocks) - 1
    names, before = list(classifier.state_dict()), copy.deepcopy(classifier.state_dict())
    halves = classifier.backbone.halves(at)
    p = tiny.spec.preprocessing
    x, y = torch.randn(4, 3, p.height, p.width), torch.tensor([0, 1, 0, 1])
    classifier.train()
    torch.nn.init.normal_(classifier.head.weight)
    with classifier.backbone.entered_at(halves):
        assert classifier.backbone.input_shape == halves.shape
        assert list(classifier.state_dict()) == names
        copied = copy.deepcopy(classifier)
        activations = halves.lower(x)
        assert not activations.requires_grad
        torch.nn.functional.cross_entropy(classifier(activations), y).backward()
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter.add_(1.0)  # the copy's upper half is the copy's own
    assert classifier.backbone.input_shape == (3, p.height, p.width)
    entered = {name: q.grad.clone() for name, q in classifier.named_parameters() if q.grad is not None}
    classifier.zero_grad()
    torch.nn.functional.cross_entropy(classifier(x), y).backward()
    whole = {name: q.grad for name, q in classifier.named_parameters() if q.grad is not None}
    assert entered.keys() == whole.keys() > {"head.weight", "head.bias"}
    assert all(torch.equal(entered[name], whole[name]) for name in whole)
    frozen = [
        n
        for n in names
        if not n.startswith("head") and n.split("network.")[-1] not in classifier.backbone.blocks[at].parameters
    ]
    assert all(torch.equal(before[n], classifier.state_dict()[n]) for n in frozen)


def test_the_lower_part_is_a_backbone_of_its_own(tiny: Backbone) -> None:
    at = len(tiny.blocks) - 1
    lower = tiny.lower(at)
    p = tiny.spec.preprocessing
    x = torch.randn(2, 3, p.height, p.width)
    with torch.inference_mode():
        assert torch.equal(lower(x), tiny.halves(at).lower(x))
    assert lower.spec.name == f"{tiny.spec.name}[:{tiny.blocks[at].name}]"
    assert lower.weights_hash() != tiny.weights_hash()
    with torch.no_grad():
        dict(tiny.network.named_parameters())[tiny.blocks[at].parameters[0]].add_(1.0)
    assert tiny.lower(at).weights_hash() == lower.weights_hash()  # what lies above does not matter
