"""Depthwise convolutions with cheap gradients: the same outputs and gradients as those of torch."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from regraft.features.engines.processor import computes_bf16
from regraft.models.depthwise import depthwise, is_depthwise

CASES = [
    (kernel, stride, padding, size)
    for kernel, stride, padding, size in itertools.product(
        [(3, 3), (5, 5), (7, 7), (4, 4), (3, 7), (7, 3), (9, 9)], [1, 2], [0, 1, 3], [(9, 9), (12, 20)]
    )
]


def gradients(
    dtype: torch.dtype, kernel: tuple[int, int], stride: int, padding: int, size: tuple[int, int], cheap: bool
) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 16, *size, generator=generator).to(memory_format=torch.channels_last)
    weight, bias = torch.randn(16, 1, *kernel, generator=generator), torch.randn(16, generator=generator)
    leaves = [value.to(dtype).requires_grad_() for value in (x, weight, bias)]
    if cheap:
        y = depthwise(leaves[0], leaves[1], leaves[2], (stride, stride), (padding, padding))
    else:
        y = nn.functional.conv2d(*leaves, stride=stride, padding=padding, groups=16)
    y.backward(torch.randn(y.shape, generator=generator).to(dtype))
    return [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@pytest.mark.parametrize(("kernel", "stride", "padding", "size"), CASES)
def test_the_output_and_all_gradients_are_those_of_torch(
    kernel: tuple[int, int], stride: int, padding: int, size: tuple[int, int]
) -> None:
    plain = gradients(torch.float32, kernel, stride, padding, size, cheap=False)
    found = gradients(torch.float32, kernel, stride, padding, size, cheap=True)
    assert torch.equal(found[0], plain[0])
    assert len(found) == len(plain) == 4
    for one, other in zip(found, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not computes_bf16(), reason="this processor has no bfloat16")
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_in_bfloat16_are_as_close_to_the_exact_ones_as_those_of_torch(stride: int) -> None:
    exact = gradients(torch.float32, (5, 5), stride, 2, (9, 9), cheap=False)
    plain = gradients(torch.bfloat16, (5, 5), stride, 2, (9, 9), cheap=False)
    found = gradients(torch.bfloat16, (5, 5), stride, 2, (9, 9), cheap=True)
    for one, other, right in zip(found, plain, exact, strict=True):
        assert one.dtype == torch.bfloat16
        scale = right.abs().max()
        assert (one.float() - right).abs().max() <= 1.5 * (other.float() - right).abs().max() + 0.005 * scale


def test_only_plain_depthwise_convolutions_count() -> None:
    assert is_depthwise(nn.Conv2d(8, 8, 3, groups=8))
    assert not is_depthwise(nn.Conv2d(8, 8, 3))
    assert not is_depthwise(nn.Conv2d(8, 16, 3, groups=8))
    assert not is_depthwise(nn.Conv2d(8, 8, 3, groups=8, dilation=2))
    assert not is_depthwise(nn.Conv2d(8, 8, 3, groups=8, padding=1, padding_mode="reflect"))
    assert not is_depthwise(nn.Conv2d(1, 1, 3))
