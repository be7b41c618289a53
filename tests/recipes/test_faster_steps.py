"""Faster training steps: the same gradients as those of plain steps, and a network that is left as it was."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

import regraft as rg
from regraft.features.engines.processor import computes_bf16
from regraft.models.backbone import Backbone
from regraft.recipes.steps.faster_steps import faster_steps

NETWORKS = [
    "test_efficientnet",
    "test_resnet",
    "mobilenetv3_small_050",
    "test_convnext",
    "test_vit",
    "tf_efficientnet_lite0",
]


def backbone_of(name: str, unfreeze: int | str = "all", *, statistics: bool = False) -> Backbone:
    torch.manual_seed(0)
    backbone = rg.build_backbone(name, pretrained=False, size=32)
    with torch.no_grad():
        for module in backbone.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
                module.running_var.uniform_(0.5, 2.0)
                assert module.running_mean is not None
                module.running_mean.normal_(0, 0.1)
    backbone.unfreeze(unfreeze, norm_statistics=statistics)  # type: ignore[arg-type]
    return backbone.train()


def step(backbone: Backbone, *, bf16: bool = False) -> dict[str, torch.Tensor]:
    """Return the loss and all gradients of a training step."""
    torch.manual_seed(1)  # of dropout
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2)).to(next(backbone.parameters()).dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        features = backbone(x)
    loss = features.to(x.dtype).square().mean()
    backbone.zero_grad()
    loss.backward()
    found = {name: p.grad.clone() for name, p in backbone.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **found}


def assert_close(found: dict[str, torch.Tensor], plain: dict[str, torch.Tensor], tolerance: float) -> None:
    assert found.keys() == plain.keys()
    for name, value in plain.items():
        assert (found[name] - value).abs().max() <= tolerance * (1e-3 + value.abs().max()), name


@pytest.mark.parametrize("name", NETWORKS)
def test_a_faster_step_has_the_gradients_of_a_plain_one(name: str) -> None:
    backbone = backbone_of(name).double()  # single precision flips some of the activations' corners
    plain = step(backbone)
    with faster_steps(backbone):
        found = step(backbone)
    assert_close(found, plain, 1e-8)


@pytest.mark.skipif(not computes_bf16(), reason="this processor has no bfloat16")
def test_a_faster_step_in_bfloat16_is_as_close_as_a_plain_one() -> None:
    backbone = backbone_of("tf_efficientnet_lite0", 2)
    exact, plain = step(backbone), step(backbone, bf16=True)
    with faster_steps(backbone):
        found = step(backbone, bf16=True)
    errors = {
        name: [float((steps[name] - value).norm() / value.norm()) for steps in (found, plain)]
        for name, value in exact.items()
    }
    found_errors, usual = zip(*errors.values(), strict=True)
    assert sum(found_errors) <= 1.3 * sum(usual)
    assert max(found_errors) <= 0.1 + 1.5 * max(usual)


def test_statistics_that_are_trained_are_not_folded() -> None:
    backbone = backbone_of("test_efficientnet", statistics=True).double()
    other = copy.deepcopy(backbone)
    plain = step(other)
    with faster_steps(backbone):
        found = step(backbone)
    assert_close(found, plain, 1e-8)
    for (name, one), (_, two) in zip(backbone.named_buffers(), other.named_buffers(), strict=True):
        torch.testing.assert_close(one, two, msg=name)
    assert any("running_mean" in name for name, _ in backbone.named_buffers())


def test_passes_without_gradients_have_the_same_bits() -> None:
    backbone = backbone_of("test_efficientnet")
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        plain = backbone.eval()(x)
        with faster_steps(backbone):
            assert torch.equal(backbone(x), plain)


def test_the_network_is_left_as_it_was_even_after_an_error() -> None:
    backbone = backbone_of("test_efficientnet")
    before = {name: set(vars(module)) for name, module in backbone.named_modules()}
    with pytest.raises(KeyboardInterrupt), faster_steps(backbone):
        step(backbone)
        raise KeyboardInterrupt
    assert {name: set(vars(module)) for name, module in backbone.named_modules()} == before


def test_a_copy_made_inside_is_independent() -> None:
    backbone = backbone_of("test_efficientnet")
    x = torch.randn(1, 3, 32, 32)
    with faster_steps(backbone):
        other = copy.deepcopy(backbone)
        restored = pickle.loads(pickle.dumps(backbone))
        with torch.no_grad():
            for parameter in backbone.parameters():
                parameter.zero_()
        for one in (other, restored):
            assert float(one(x).detach().abs().max()) > 0


def test_frozen_layers_below_are_left_alone() -> None:
    backbone = backbone_of("test_efficientnet", 1).double()
    plain = step(backbone)
    with faster_steps(backbone):
        found = step(backbone)
    assert_close(found, plain, 1e-8)
    assert all(not p.requires_grad or p.grad is not None for p in backbone.parameters())
