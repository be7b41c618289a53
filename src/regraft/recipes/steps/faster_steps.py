"""Training steps that take less time on a processor, with the same results up to rounding.

A normalization that keeps the statistics of the pretraining is a scale and a shift of each channel. Multiplied into the
convolution before it in each step, it takes no pass over the activations, and autograd still gives its gradients. The
kernels of depthwise convolutions get theirs from `regraft.models.depthwise`. `docs/recipes.md` has what both save.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from regraft.features.engines.folding import TOLERANCE, find_foldable
from regraft.features.engines.trial import synthetic_photos
from regraft.models.backbone import Backbone
from regraft.models.depthwise import depthwise, is_depthwise

_FOLDED = "_is_folded"  # set on a normalization by the convolution that has done its work


@contextmanager
def faster_steps(backbone: Backbone) -> Iterator[None]:
    """Context manager in which training steps of ``backbone`` are faster on a processor; elsewhere it does nothing.

    Only passes that need gradients differ; their results are the same up to rounding.
    """
    changed = make_steps_faster(backbone)
    try:
        yield
    finally:
        _restore(changed)


def make_steps_faster(backbone: Backbone) -> list[nn.Module]:
    """Change the forward passes of a backbone as `faster_steps` does, and return the changed modules."""
    network = backbone.network
    if next(network.parameters()).device.type != "cpu":
        return []
    return _change(network, _foldable_pairs(backbone))


def _foldable_pairs(backbone: Backbone) -> Mapping[str, str]:
    """Return the normalization that follows each convolution, by their names, if folding gives the same results."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in backbone.network.modules()):
        return {}
    trial = copy.deepcopy(backbone.network).eval().requires_grad_(requires_grad=True)
    x = synthetic_photos(1, backbone.preprocessing.height, backbone.preprocessing.width)
    x = x.to(next(trial.parameters()).dtype)
    with torch.no_grad():
        expected, found = find_foldable(trial, x)
    pairs = dict(found.pairs)
    changed = _change(trial, pairs)
    with torch.enable_grad():
        result = trial(x).detach()
    _restore(changed)
    same = bool((result - expected).abs().max() <= TOLERANCE * expected.abs().max())
    return pairs if same else {}


def _change(network: nn.Module, pairs: Mapping[str, str]) -> list[nn.Module]:
    """Change the forward passes of convolutions and of the normalizations after them; return the changed modules."""
    changed: list[nn.Module] = []
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d) or layer.padding_mode != "zeros":
            continue
        norm = network.get_submodule(pairs[name]) if name in pairs else None
        if norm is None and (not is_depthwise(layer) or _pads_by_itself(layer)):
            continue
        layer.forward = partial(_convolve, layer, norm)  # type: ignore[method-assign]
        changed.append(layer)
        if norm is not None:
            norm.forward = partial(_normalize, norm)
            changed.append(norm)
    return changed


def _restore(changed: list[nn.Module]) -> None:
    for module in changed:
        del module.forward
        vars(module).pop(_FOLDED, None)


def _convolve(layer: nn.Conv2d, norm: nn.Module | None, x: Tensor) -> Tensor:
    """Return the output of a convolution, with the normalization after it where that is fixed."""
    weight, bias = layer.weight, layer.bias
    if not torch.is_grad_enabled():
        return type(layer).forward(layer, x)
    if norm is not None and not norm.training:
        weight, bias = _folded(layer, norm)
        setattr(norm, _FOLDED, True)
    padding = layer.padding
    if _pads_by_itself(layer):
        from timm.layers.padding import pad_same

        x, padding = pad_same(x, layer.kernel_size, layer.stride, layer.dilation), (0, 0)  # type: ignore[arg-type]
    if isinstance(padding, str) or not is_depthwise(layer):
        return functional.conv2d(x, weight, bias, layer.stride, padding, layer.dilation, layer.groups)
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    return depthwise(x, weight, bias, layer.stride, padding)


def _folded(layer: nn.Conv2d, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the weight and the bias of a convolution that includes a normalization with fixed statistics."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    shift = -norm.running_mean if layer.bias is None else layer.bias - norm.running_mean
    if norm.affine:
        scale = scale * norm.weight
        return layer.weight * scale.view(-1, 1, 1, 1), torch.addcmul(norm.bias, shift, scale)
    return layer.weight * scale.view(-1, 1, 1, 1), shift * scale


def _normalize(norm: nn.Module, x: Tensor) -> Tensor:
    """Return the output of a normalization: if the convolution did its work, the activation of timm's layer."""
    if not vars(norm).pop(_FOLDED, False):
        result: Tensor = type(norm).forward(norm, x)
        return result
    drop, activation = getattr(norm, "drop", None), getattr(norm, "act", None)
    x = x if drop is None else drop(x)
    if isinstance(activation, nn.Hardtanh):  # in place, torch computes it elsewhere and copies it back
        return functional.hardtanh(x, activation.min_val, activation.max_val)
    return x if activation is None else activation(x)


def _pads_by_itself(layer: nn.Conv2d) -> bool:
    from timm.layers.conv2d_same import Conv2dSame

    return isinstance(layer, Conv2dSame)
