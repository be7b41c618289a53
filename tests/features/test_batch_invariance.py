"""A photo's place in a batch changes no bit of its features: every place, many contents, every operation by itself."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from regraft.features.engines import frozen_network as frozen_module
from regraft.features.engines.batch_invariance import InvarianceObserver, repetitions_agree, zero_sum_values
from regraft.features.engines.batch_size import check_invariance, first_invariant_size
from regraft.features.engines.engine import EagerEngine
from regraft.features.engines.operations import (
    APPROXIMATED,
    BATCH_SAFE,
    FAITHFUL,
    SUMS,
    ElementwiseLayout,
    elementwise_layout,
    operation_name,
    operation_names,
)
from regraft.features.engines.trial import synthetic_photos, trial_order
from regraft.models.timm_import import import_timm
from regraft.models.zoo import build_backbone

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No batch size that another test found helps."""
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))


@pytest.fixture
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def strangers(run, x, size: int, contents: int) -> int:
    """Return how many photos have other bits at some place than at the first, or beside others."""
    own = [np.asarray(run(x[[i] * size])) for i in range(contents)]
    found = sum(row.tobytes() != rows[0].tobytes() for rows in own for row in rows)
    draw = np.random.default_rng(size)
    for _ in range(contents):
        which = draw.integers(0, contents, size).tolist()
        rows = np.asarray(run(x[which]))
        found += sum(row.tobytes() != own[i][0].tobytes() for row, i in zip(rows, which, strict=True))
    return found


def chosen(network: nn.Module, photos: torch.Tensor, size: int, threads: int = 1) -> int:
    """Return the batch size for a network where ``size`` is wanted."""

    def run_of(_: int):
        return lambda x: run(network, x)

    return first_invariant_size((size, 1), run_of, photos, CPU, threads, None)


@torch.inference_mode()
def run(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return network(x).float().flatten(1)


SOME = ["test_efficientnet", "test_efficientnet_evos", "test_maxvit", "test_mambaout"]
OTHERS = ["test_efficientnet_gn", "test_byobnet", "test_vit3"]
SETTINGS = [
    *((name, *setting) for name in SOME for setting in (("fp32", 1), ("bf16", 2))),
    *((name, *setting) for name in OTHERS for setting in (("bf16", 1), ("fp32", 2))),
]


@pytest.mark.parametrize(("name", "precision", "threads"), SETTINGS, indirect=["threads"])
def test_features_are_the_same_bits_at_every_place_in_batches_of_any_size(name, precision, threads, monkeypatch):
    monkeypatch.setattr(
        frozen_module, "_SMALL_NETWORK", 0 if threads > 1 else frozen_module._SMALL_NETWORK
    )  # threads share a batch
    backbone = build_backbone(name, pretrained=False, size=None if "vit" in name or "coat" in name else 64)
    p = backbone.spec.preprocessing
    x = np.random.default_rng(1).integers(0, 256, (4, p.height, p.width, 3), dtype=np.uint8)
    for size in (None, 5):
        engine = EagerEngine(backbone, precision=precision, batch_size=size)
        assert engine.batch_size in (size, 1) if size else True
        assert strangers(engine.run, x, engine.batch_size, 4) == 0, (name, size, engine.batch_size)


@pytest.mark.slow
@pytest.mark.parametrize("name", import_timm().list_models("test_*"))
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("threads", [1, 2], indirect=True)
def test_features_are_the_same_bits_in_every_small_network(name, precision, threads, monkeypatch):
    monkeypatch.setattr(frozen_module, "_SMALL_NETWORK", 0 if threads > 1 else frozen_module._SMALL_NETWORK)
    backbone = build_backbone(name, pretrained=False)
    p = backbone.spec.preprocessing
    x = np.random.default_rng(1).integers(0, 256, (12, p.height, p.width, 3), dtype=np.uint8)
    for size in (None, 2, 3, 4, 5, 6, 7, 8):
        engine = EagerEngine(backbone, precision=precision, batch_size=size)
        assert strangers(engine.run, x, engine.batch_size, 12) == 0, (name, size, engine.batch_size)


class Gate(nn.Module):
    """Squeeze and excitation, the smallest of tensors, with any function between."""

    def __init__(self, function: str, channels: int) -> None:
        super().__init__()
        self.narrow, self.wide = nn.Conv2d(3, channels, 1), nn.Conv2d(channels, 3, 1)
        self.function = getattr(torch, function, None) or getattr(nn.functional, function)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.narrow(x.mean((2, 3), keepdim=True)))


CHANNELS_AND_SIZES = list(itertools.product((1, 3, 5, 6, 8, 12, 16, 20, 32), (2, 3, 4, 5, 7, 8, 16)))


@pytest.mark.parametrize(
    "function", ["sigmoid", "tanh", "exp", "erf", "silu", "gelu", "softplus", "mish", "elu", "log1p"]
)
@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(CHANNELS_AND_SIZES[::5], id="a fifth of all cases"),  # every size and every number of channels
        pytest.param(CHANNELS_AND_SIZES, id="all cases", marks=pytest.mark.slow),
    ],
)
def test_functions_of_tiny_tensors(function, cases):
    """Any number of channels, any size: what is taken as a batch has the same bits at every place, over 64 photos."""
    torch.manual_seed(3)
    x = torch.rand(64, 3, 4, 4) * 3
    networks = {channels: Gate(function, channels) for channels in dict(CHANNELS_AND_SIZES)}
    taken = 0
    for channels, size in cases:
        if chosen(networks[channels], x[:3], size) == size:
            taken += 1
            assert strangers(partial(run, networks[channels]), x, size, 64) == 0, (channels, size)
    assert taken > len(cases) / 6, "refusing everything is no answer"


def test_a_remainder_of_some_photos_is_found_by_its_layout():
    """A tail of eight numbers, which differ in a few photos of a hundred: seen by the layout, whatever the photos."""
    torch.manual_seed(3)
    x, network = torch.rand(3, 3, 4, 4), Gate("silu", 8)
    assert chosen(network, x, 5) == 1
    assert chosen(network, x, 8) == 8
    found, check = check_invariance(partial(run, network), x, 5, 1)
    assert "only some photos have remainders" in check.reason
    assert found.second is not None


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.embed, self.norm = nn.Conv2d(3, width, 4, 4), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.embed(x).flatten(2).transpose(1, 2))
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = torch.softmax(q @ k.transpose(-2, -1), dim=-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(b, n, c)).mean(1)


def depthwise(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, channels, 1),
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
        nn.GroupNorm(1, channels),
        nn.SiLU(),
        nn.Conv2d(channels, 2 * channels, 1),
        nn.GELU(),
    )


NETWORKS = {
    "attention of 12": lambda: Attention(12, 3),
    "attention of 33": lambda: Attention(33, 1),
    "attention of 48": lambda: Attention(48, 4),
    "depth-wise 7": lambda: depthwise(7),
    "depth-wise 17": lambda: depthwise(17),
    "depth-wise 32": lambda: depthwise(32),
    "softmax of channels": lambda: nn.Sequential(nn.Conv2d(3, 5, 1), nn.Softmax(1)),
    "half of the channels": lambda: nn.Sequential(nn.Conv2d(3, 12, 1), nn.GLU(1)),
    "tiny linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(48 * 4, 3), nn.Tanh(), nn.Linear(3, 2), nn.Sigmoid()),
}


@pytest.mark.parametrize("what", NETWORKS)
@pytest.mark.parametrize(
    ("threads", "layout"),
    [
        (1, torch.channels_last),
        (2, torch.contiguous_format),
        pytest.param(1, torch.contiguous_format, marks=pytest.mark.slow),
        pytest.param(2, torch.channels_last, marks=pytest.mark.slow),
    ],
    indirect=["threads"],
)
def test_networks_of_all_kinds(what, threads, layout):
    torch.manual_seed(5)
    network, x = NETWORKS[what]().eval(), torch.randn(24, 3, 8, 8).contiguous(memory_format=layout)
    for size in (2, 3, 5, 8, 16):
        if chosen(network, x[:3], size, threads) == size:
            assert strangers(partial(run, network), x, size, 24) == 0, size


def test_large_tensors_that_threads_share():
    """Each thread has an end of its own: where that is inside a photo, photos are run one at a time."""
    torch.manual_seed(5)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for height, size, fits in ((33, 2, True), (33, 3, False), (33, 5, False), (34, 3, True)):
            network = nn.Sequential(nn.Conv2d(3, 32, 1), nn.SiLU())
            x = torch.randn(3, 3, height, 47).contiguous(memory_format=torch.channels_last)
            assert (chosen(network, x, size, 2) == size) == fits, (height, size)
    finally:
        torch.set_num_threads(before)


class Odd(nn.Module):
    def __init__(self, what) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.what(x.mean((2, 3)))


MIXING = {
    "a mean of all photos": lambda y: y + y.mean(),
    "a softmax over photos": lambda y: y.softmax(0),
    "the photo before": lambda y: y + y.roll(1, 0),
    "photos the other way round": lambda y: y + y.flip(0),
    "the largest of all": lambda y: y / y.amax(0, keepdim=True),
    "attention between photos": lambda y: torch.softmax(y @ y.T, 1) @ y,
    "a normalisation over photos": lambda y: nn.functional.batch_norm(y, None, None, training=True),
    "an operation that nobody knows": lambda y: torch.cumsum(y, 1),
    "its number": lambda y: y + torch.arange(len(y))[:, None] * 1e-6,
}


@pytest.mark.parametrize("what", MIXING)
@pytest.mark.parametrize("size", [2, 3, 8])
def test_photos_that_see_one_another_are_run_one_at_a_time(what, size):
    x = torch.randn(3, 16, 4, 4, generator=torch.Generator().manual_seed(3))
    assert chosen(Odd(MIXING[what]), x, size) == 1
    assert chosen(Odd(lambda y: y * 2), x, size) == size


def last_row_from_the_end(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Multiply matrices; the last row is added up in another order."""
    products = x.float()[:, None] * weight.float()
    products[-1] = products[-1].flip(-1)
    total = torch.zeros(products.shape[:-1])
    for column in products.unbind(-1):
        total = total + column
    return total.to(x.dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_another_order_of_adding_shows_whatever_the_precision(dtype):
    """bfloat16 hides it in the eight results of a real photo; contents that cancel out show it."""
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(0)).to(dtype)
    x = torch.randn(1, 64, generator=torch.Generator().manual_seed(1)).to(dtype).repeat(3, 1)
    y = last_row_from_the_end(x, weight)
    assert torch.equal(y[0], y[2]) == (dtype == torch.bfloat16)
    assert not repetitions_agree(last_row_from_the_end, (x, weight), {}, y, 3, lambda t: t is x)
    assert repetitions_agree(nn.functional.linear, (x, weight), {}, y, 3, lambda t: t is x)


@pytest.mark.parametrize("shape", [(1, 8), (3, 5, 7), (64,), (2, 16, 9, 4)])
def test_contents_that_cancel_out(shape):
    x = zero_sum_values(shape, 3).double()
    assert x.shape == shape and x.abs().max() > 1
    for axis in range(len(shape)):
        if shape[axis] > 1:
            assert float(x.sum(axis).abs().max()) == 0


def values(count: int, seed: int, dtype: torch.dtype) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (torch.randn(count, generator=draw) * 3).to(dtype)


EXACT = {
    "relu": torch.relu,
    "hardswish": nn.functional.hardswish,
    "hardsigmoid": nn.functional.hardsigmoid,
    "hardtanh": nn.functional.relu6,
    "leaky_relu": lambda x: nn.functional.leaky_relu(x, 0.1),
    "sqrt": lambda x: x.abs().sqrt(),
    "mul": lambda x: x * 1.7,
    "div": lambda x: x / 1.7,
    "add": lambda x: x + 0.3,
    "pow": lambda x: x**2,
    "reciprocal": lambda x: 1.3 / x,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", EXACT)
def test_what_is_called_exact_is_the_same_in_vectors_and_one_at_a_time(name, dtype):
    """Longer memory takes the vectorised loop; 4,096 numbers that stand alone take the other one."""
    x = values(4096, 1, dtype)
    alone = torch.cat([EXACT[name](x[i : i + 1]) for i in range(len(x))])
    assert torch.equal(EXACT[name](x), alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", sorted(APPROXIMATED - {"pow"}))
def test_layouts_without_an_end_have_the_same_bits_everywhere(name, dtype):
    """The rule about layouts, against the library itself: 200 contents at every place."""
    function = getattr(torch, name, None) or getattr(nn.functional, name.replace("log_sigmoid", "logsigmoid"))
    for photo, size in ((8, 5), (8, 8), (16, 4), (64, 3), (12, 16), (31, 2)):
        x = values(photo * 200, photo, dtype).abs().add(0.01).reshape(200, photo)
        layout = elementwise_layout(x[:size], x[:size], size)
        found = [function(x[i].repeat(size, 1)) for i in range(200)]
        same = all(torch.equal(row, rows[0]) for rows in found for row in rows)
        assert layout is not None
        assert same or not layout.is_position_independent(size, 1)


def test_layouts():
    whole = ElementwiseLayout(photo=12, run=None, step=32, outermost=True)
    assert [size for size in range(1, 17) if whole.is_position_independent(size, 1)] == [8, 16]
    rows = ElementwiseLayout(photo=36, run=12, step=32, outermost=True)
    assert rows.is_position_independent(5, 1), "each photo has the same ends"
    assert not ElementwiseLayout(photo=36, run=24, step=32, outermost=True).is_position_independent(5, 1)
    large = ElementwiseLayout(photo=33 * 47 * 32, run=None, step=32, outermost=True)
    assert large.is_position_independent(3, 1) and not large.is_position_independent(3, 2)
    x = torch.zeros(4, 6, 5, 5)
    assert elementwise_layout(x, x, 4) == ElementwiseLayout(150, None, 32, outermost=True)
    half = x[:, :3]
    assert elementwise_layout(half.contiguous(), half, 4) == ElementwiseLayout(75, 75, 32, outermost=True)
    assert elementwise_layout(x.mT.contiguous(), x.mT, 4) is None, "no neighbours in memory"
    assert elementwise_layout(x.bfloat16(), x.bfloat16(), 4).step == 64


def test_every_kind_of_operation_is_in_one_list():
    assert not FAITHFUL & APPROXIMATED and not APPROXIMATED & SUMS and not FAITHFUL & SUMS
    assert BATCH_SAFE <= FAITHFUL | SUMS
    assert (
        operation_name(torch.ops.aten.silu_.default) == "silu"
        and operation_name(torch.ops.aten._softmax.default) == "_softmax"
    )


def test_the_default_network_is_sums_and_nothing_else(lite0):
    """It keeps its batches with every engine."""
    p = lite0.spec.preprocessing
    x = synthetic_photos(1, p.height, p.width)
    assert operation_names(lite0.network, x) <= BATCH_SAFE
    assert "sigmoid" in operation_names(build_backbone("test_efficientnet", pretrained=False).network, x)
    watch = InvarianceObserver(x, trial_order(1), 1)
    with torch.inference_mode(), watch:
        lite0.network(x)
    assert watch.layouts == set() and watch.reason is None


def test_what_the_old_trial_found_is_not_believed(tmp_path):
    """A batch size of an earlier version of regraft, for the same network on the same machine."""
    from regraft.features.engines.machine_facts import machine_id, write_fact

    backbone = build_backbone("test_efficientnet_gn", pretrained=False)
    parts = ("alone", backbone.weights_hash(), backbone.spec.name, backbone.spec.preprocessing.id)
    where = (CPU.type, "fp32", 5, machine_id())
    write_fact(f"batch size / eager2 {torch.__version__} / {' / '.join(map(str, (*parts, *where)))}", 5)
    assert EagerEngine(backbone, batch_size=5).batch_size == 1


@pytest.mark.slow
def test_instructions_that_are_forbidden_are_part_of_the_numerics():
    """Sums in convolutions have other bits then."""
    program = (
        "from regraft.features.engines.engine import EagerEngine;"
        "from regraft.features.engines.machine_facts import machine_id;"
        "from regraft.models.zoo import build_backbone;"
        "print(EagerEngine(build_backbone('test_resnet', pretrained=False)).numerics, machine_id())"
    )
    texts = set()
    for held in ("", "AVX2", "SSE41"):
        environment = {k: v for k, v in os.environ.items() if k != "ONEDNN_MAX_CPU_ISA"}
        environment |= {"ONEDNN_MAX_CPU_ISA": held} if held else {}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
        )
        texts.add(done.stdout)
        assert held in done.stdout
    assert len(texts) == 3
