"""A folded network computes what the plain one does, or is not used."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regraft.features.engines import folding
from regraft.features.engines.folding import folded
from regraft.features.engines.fusing import FusedConvolution
from regraft.features.engines.processor import computes_bf16
from regraft.features.engines.trial import synthetic_photos
from regraft.models.zoo import build_backbone, create_network


def with_statistics(network: nn.Module) -> nn.Module:
    """Give every normalisation statistics and scales that matter."""
    torch.manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.2)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def largest_difference(network: nn.Module, other: nn.Module, size: int = 64) -> float:
    x = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = network(x), other(x)
    return float((expected - found).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_byobnet", "tf_efficientnet_lite0"])
def test_all_normalisations_are_folded(name):
    network = with_statistics(create_network(name, 64))
    cheaper = folded(network, 64, 64)
    assert norms(network) > 10
    assert norms(cheaper) == 0
    assert largest_difference(network, cheaper) < 1e-5
    assert not any(p.requires_grad for p in cheaper.parameters())


def test_padding_moves_into_the_kernel_without_a_bit_of_difference():
    from timm.layers.conv2d_same import Conv2dSame

    for size, kernel, stride, moved in ((32, 3, 2, True), (32, 5, 2, True), (31, 3, 2, False), (32, 3, 1, False)):
        network = nn.Sequential(Conv2dSame(3, 4, kernel, stride, bias=True)).eval()
        cheaper = folded(network, size, size)
        assert (type(cheaper[0]) is nn.Conv2d) == moved
        x = torch.randn(2, 3, size, size)
        with torch.inference_mode():
            torch.testing.assert_close(cheaper(x), network(x), rtol=1e-6, atol=1e-6)


class Shared(nn.Module):
    """What a convolution makes goes through a normalisation, and past it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return (self.norm(y) + y).mean((2, 3))


class Twice(nn.Module):
    """One convolution with two normalisations."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.first(self.conv(x)) - self.second(self.conv(2 * x))).mean((2, 3))


@pytest.mark.parametrize("kind", [Shared, Twice])
def test_what_cannot_be_folded_is_left(kind):
    network = with_statistics(kind())
    kept = folded(network, 32, 32)
    assert norms(kept) == norms(network)
    assert largest_difference(network, kept, 32) < 1e-6


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_every_kind_of_parameter_is_taken_along(affine, bias):
    network = with_statistics(
        nn.Sequential(nn.Conv2d(3, 6, 3, groups=3, bias=bias), nn.BatchNorm2d(6, affine=affine), nn.ReLU())
    )
    cheaper = folded(network, 16, 16)
    assert norms(cheaper) == 0
    assert largest_difference(network, cheaper, 16) < 1e-5


def test_a_wrong_folding_is_noticed(monkeypatch):
    network = with_statistics(create_network("test_resnet", 64))
    monkeypatch.setattr(folding, "_fold", lambda network, convolution, norm: network.set_submodule(norm, nn.Identity()))
    kept = folded(network, 64, 64)
    assert norms(kept) == norms(network)
    assert largest_difference(network, kept) < 1e-6


def test_networks_without_batch_norm_are_copied_as_they_are():
    network = build_backbone("test_vit", pretrained=False).network
    assert largest_difference(network, folded(network, 160, 160), 160) < 1e-6


def test_the_decision_is_the_same_every_time():
    network = with_statistics(create_network("test_coatnet"))
    p = network.pretrained_cfg["input_size"]
    assert len({norms(folded(network, *p[1:])) for _ in range(3)}) == 1


def fused(network: nn.Module) -> int:
    return sum(isinstance(module, FusedConvolution) for module in network.modules())


@pytest.mark.parametrize(
    ("name", "least"),
    [("test_resnet", 2), ("test_efficientnet", 3), ("tf_efficientnet_lite0", 25), ("test_byobnet", 3)],
)
def test_activations_are_joined_with_the_convolutions_before_them(name, least):
    network = with_statistics(create_network(name, 64))
    cheaper = folded(network, 64, 64, fuse=True)
    assert fused(cheaper) >= least
    assert fused(folded(network, 64, 64)) == 0
    assert largest_difference(network, cheaper) < 1e-5


ACTIVATIONS = [
    nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.Hardtanh(-0.3, 0.4), nn.LeakyReLU(0.2), nn.SiLU(), nn.Sigmoid(),
    nn.Tanh(), nn.Hardswish(), nn.Hardsigmoid(), nn.GELU(), nn.GELU(approximate="tanh"),
]  # fmt: skip


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_every_activation_that_is_joined_computes_what_it_did(activation, bias):
    network = with_statistics(nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1, 1, 3, bias=bias), activation, nn.Flatten()))
    cheaper = folded(network, 16, 16, fuse=True)
    assert fused(cheaper) == 1
    assert largest_difference(network, cheaper, 16) < 1e-5
    x = torch.randn(3, 3, 16, 16)
    if not computes_bf16():
        return
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found, expected = cheaper(x), network(x)
    assert found.dtype is expected.dtype is torch.bfloat16  # autocast holds for it too
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)


class Softened(nn.ReLU):
    """A kind of its own: it is not what it inherits from."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + 0.1 * x


class Between(nn.Module):
    """Something is added to what the convolution made, in place, before the activation takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 3), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        y += 1
        return self.act(y)


class Past(nn.Module):
    """What the convolution made is needed before the activation too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 3), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return self.act(y) + y


class Often(nn.Module):
    """One activation serves two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.act = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.two(self.act(self.one(x))))


@pytest.mark.parametrize("kind", [Between, Past, Often, lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Softened())])
def test_an_activation_that_cannot_be_joined_is_left(kind):
    network = with_statistics(kind())
    kept = folded(network, 16, 16, fuse=True)
    assert fused(kept) == 0
    assert largest_difference(network, kept, 16) < 1e-6


def test_large_weights_for_few_numbers_are_left_to_torch():
    network = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 256, 14), nn.ReLU()).eval()
    cheaper = folded(network, 16, 16, fuse=True)
    assert [type(module) for module in cheaper] == [FusedConvolution, nn.Identity, nn.Conv2d, nn.ReLU]


def test_where_the_operator_fails_normalisations_are_folded_still(monkeypatch):
    network = with_statistics(create_network("test_resnet", 64))

    def fails(self, x):
        raise RuntimeError("not on this processor")

    monkeypatch.setattr(FusedConvolution, "forward", fails)
    kept = folded(network, 64, 64, fuse=True)
    assert fused(kept) == norms(kept) == 0
    assert largest_difference(network, kept) < 1e-5


class Recorded:
    """A record in memory."""

    def __init__(self) -> None:
        self.number: int | None = None

    def read(self) -> int | None:
        return self.number

    def write(self, number: int) -> None:
        self.number = number


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_copy_that_was_chosen_before_is_made_again_without_a_check(failures):
    network, record, x = with_statistics(create_network("test_resnet", 64)), Recorded(), synthetic_photos(1, 64, 64)
    checks = []

    def check(cheaper: nn.Module) -> torch.Tensor:
        checks.append(cheaper)
        return cheaper(x) * (2 if len(checks) <= failures else 1)

    first = folded(network, 64, 64, fuse=True, check=check, record=record)
    assert (record.number, len(checks)) == (failures, min(failures + 1, 2))
    again = folded(network, 64, 64, fuse=True, check=check, record=record)
    assert len(checks) == min(failures + 1, 2)
    assert (fused(again), norms(again)) == (fused(first), norms(first))
    with torch.inference_mode():
        assert torch.equal(again(x), first(x))
