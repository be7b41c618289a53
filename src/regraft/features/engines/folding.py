"""Folding: a frozen network made cheaper without changing its results.

In inference mode a batch normalization is a fixed scale and shift per channel, so that it can be multiplied into the
convolution before it (Jacob et al. 2018, https://arxiv.org/abs/1712.05877, section 3.2). The "same" padding of networks
from TensorFlow copies each input to add a row and a column of zeros; a row and a column of zeros in the kernel have the
same effect. On the CPU, the convolution also computes the activation after it (`fusing`). All of this is exact up to
rounding in single precision, which is checked.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from regraft.features.engines.fusing import FusedConvolution, fusible, is_activation, worth_fusing
from regraft.features.engines.trial import synthetic_photos

TOLERANCE = 1e-4
"""Maximum difference from the unmodified network, relative to the largest feature; rounding alone gives about 3e-6."""


def folded(
    network: nn.Module,
    height: int,
    width: int,
    *,
    fuse: bool = False,
    check: Callable[[nn.Module], torch.Tensor] | None = None,
    record: FoldingRecord | None = None,
) -> nn.Module:
    """Return a copy of ``network`` with its batch normalizations folded, or a plain copy if the results would differ.

    Args:
        network: in single precision, on any device. The copy is on the CPU, channels-last, in inference mode.
        height: input height in pixels.
        width: input width in pixels.
        fuse: whether to also join activations with the convolutions before them, if the results agree. Such a copy runs
            on the CPU only and cannot be exported.
        check: returns the features of the first synthetic photo, shape (1, D), computed by a cheaper copy; they are
            compared with those of the plain copy. By default the copy runs on that photo alone.
        record: the copy that an earlier call has chosen, which then needs no check; the choice is put into it.
    """
    copied = _copied(network)
    x = synthetic_photos(1, height, width)  # a wrong folding is wrong for every photo
    with torch.no_grad():
        expected, foldable = find_foldable(copied, x)
    activations = foldable.activations if fuse else []
    ways = [activations, []] if activations else [[]]
    chosen = None if record is None else record.read()
    for number, joined in enumerate(ways):
        if not (foldable.pairs or foldable.inputs or joined):
            break
        if chosen is None or chosen == number:
            _make_cheaper(copied, foldable, joined)
            if chosen == number or _equal(expected, copied, check or (lambda cheaper: cheaper(x))):
                return _recorded(copied, number, record)
            copied = _copied(network)
    return _recorded(copied, len(ways), record)


def _recorded(copied: nn.Module, number: int, record: FoldingRecord | None) -> nn.Module:
    if record is not None:
        record.write(number)
    return copied


def _copied(network: nn.Module) -> nn.Module:
    copies: dict[int, object] = {id(p): _frozen(_laid_out(p)) for p in network.parameters()}
    copies |= {id(buffer): _laid_out(buffer) for buffer in network.buffers()}
    return copy.deepcopy(network, copies).eval()


def _laid_out(tensor: torch.Tensor) -> torch.Tensor:
    layout = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
    return tensor.detach().to("cpu", copy=True, memory_format=layout)


class FoldingRecord(Protocol):
    """The number of the copy that was chosen for a network on this machine, most folded first; kept between calls."""

    def read(self) -> int | None:
        """Return the number, or None if nothing was chosen yet."""

    def write(self, number: int) -> None:
        """Record the number."""


@dataclass(frozen=True)
class Foldable:
    """Parts of a network that can be made cheaper, by the names of modules that are called once.

    Attributes:
        pairs: (convolution, normalization), if the second takes the output of the first directly.
        inputs: input (height, width) of each convolution that pads by itself.
        activations: (convolution, activation), if nothing but a normalization is between them.
    """

    pairs: list[tuple[str, str]]
    inputs: dict[str, tuple[int, int]]
    activations: list[tuple[str, str]]


def _make_cheaper(network: nn.Module, found: Foldable, activations: list[tuple[str, str]]) -> None:
    with torch.no_grad():
        for convolution, norm in found.pairs:
            _fold(network, convolution, norm)
        for name, size in found.inputs.items():
            _pad_kernel(network, name, size)
    for convolution, activation in activations:
        layer, follows = network.get_submodule(convolution), network.get_submodule(activation)
        if fusible(layer, follows):
            assert isinstance(layer, nn.Conv2d)
            network.set_submodule(convolution, FusedConvolution(layer, follows))
            network.set_submodule(activation, nn.Identity())


@torch.inference_mode()
def _equal(expected: torch.Tensor, network: nn.Module, run: Callable[[nn.Module], torch.Tensor]) -> bool:
    try:
        result = run(network)
    except RuntimeError:  # this processor lacks an operation
        return False
    scale = expected.abs().max()
    return bool(torch.isfinite(result).all()) and bool((expected - result).abs().max() <= TOLERANCE * scale)


def find_foldable(network: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, Foldable]:
    """Run ``network`` once on ``x``; return its features and the parts that can be made cheaper.

    Args:
        network: in inference mode.
        x: photos, shape (B, 3, H, W), normalized.
    """
    names = {module: name for name, module in network.named_modules()}
    made: dict[int, tuple[nn.Module, int]] = {}  # source module and version of each tensor
    kept: dict[nn.Module, torch.Tensor] = {}  # keeps ids of tensors from being reused
    calls: dict[nn.Module, int] = {}
    takes: dict[nn.Module, nn.Module] = {}
    inputs: dict[str, tuple[int, int]] = {}

    def before(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        calls[module] = calls.get(module, 0) + 1
        source, version = made.get(id(args[0]), (module, -1)) if args else (module, -1)
        if version >= 0 and args[0]._version == version:  # not modified since
            takes[module] = source

    def after(module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        made[id(output)] = module, output._version
        kept[module] = output
        if _pads_same(module):
            inputs[names[module]] = (args[0].shape[-2], args[0].shape[-1])

    watched = [m for m in names if _is_convolution(m) or _is_norm(m) or is_activation(m)]
    hooks = [m.register_forward_pre_hook(before) for m in watched]
    hooks += [m.register_forward_hook(after) for m in watched if not is_activation(m)]
    features = network(x)
    for hook in hooks:
        hook.remove()
    takes = {m: source for m, source in takes.items() if calls[m] == calls[source] == 1}
    pairs = {n: c for n, c in takes.items() if _is_norm(n) and _is_convolution(c)}
    activations = [(pairs[n], n) for n in pairs if is_activation(getattr(n, "act", None))]  # folding moves it there
    activations += [(pairs.get(source, source), m) for m, source in takes.items() if is_activation(m)]
    return features, Foldable(
        [(names[c], names[n]) for n, c in pairs.items()],
        {name: size for name, size in inputs.items() if calls[network.get_submodule(name)] == 1},
        [(names[c], names[m]) for c, m in activations if _is_convolution(c) and worth_fusing(c, kept[c])],
    )


def _is_convolution(module: nn.Module) -> bool:
    return type(module) is nn.Conv2d or _pads_same(module)


def _pads_same(module: nn.Module) -> bool:
    from timm.layers.conv2d_same import Conv2dSame

    return type(module) is Conv2dSame


def _is_norm(module: nn.Module) -> bool:
    from timm.layers.norm_act import BatchNormAct2d

    return type(module) in (nn.BatchNorm2d, BatchNormAct2d) and getattr(module, "running_var", None) is not None


def _fold(network: nn.Module, convolution: str, norm: str) -> None:
    """Multiply a normalization into the convolution before it, in double precision, and remove it."""
    layer, old = network.get_submodule(convolution), network.get_submodule(norm)
    assert isinstance(layer, nn.Conv2d)
    assert isinstance(old, nn.BatchNorm2d)
    assert old.running_mean is not None
    assert old.running_var is not None
    scale = (old.running_var.double() + old.eps).rsqrt()
    shift = -old.running_mean.double() if layer.bias is None else layer.bias.double() - old.running_mean.double()
    bias = shift * scale
    if old.affine:
        scale = scale * old.weight.double()
        bias = shift * scale + old.bias.double()
    weight = layer.weight.double() * scale.view(-1, 1, 1, 1)
    layer.weight = _frozen(weight.to(layer.weight.dtype))
    layer.bias = _frozen(bias.to(layer.weight.dtype))
    activation = getattr(old, "act", None)
    network.set_submodule(norm, nn.Identity() if activation is None else activation)


def _pad_kernel(network: nn.Module, name: str, size: tuple[int, int]) -> None:
    """Replace zeros after the input (one row, one column) by zeros in the kernel, if the results are the same."""
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Conv2d)
    rows, columns = (
        _same_padding_before(size[i], layer.kernel_size[i], layer.stride[i], layer.dilation[i]) for i in (0, 1)
    )
    if rows is None or columns is None:
        return
    plain = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        kernel_size=(layer.kernel_size[0] + 1, layer.kernel_size[1] + 1),
        stride=(layer.stride[0], layer.stride[1]),
        padding=(rows + 1, columns + 1),
        groups=layer.groups,
        device="meta",
    )
    weight = nn.functional.pad(layer.weight, (1, 0, 1, 0))
    plain.weight = _frozen(weight.contiguous(memory_format=torch.channels_last))
    plain.bias = layer.bias
    network.set_submodule(name, plain.eval())


def _same_padding_before(size: int, kernel: int, stride: int, dilation: int) -> int | None:
    """Return the zeros before an input under TensorFlow's rule, if exactly one more follows it, else None."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2 if dilation == 1 and total % 2 == 1 else None


def _frozen(value: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)
