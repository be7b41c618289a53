"""Every network of timm's zoo falls into blocks, bottom to top."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from models.families import smallest_of_each, without_memory
from regraft.models.blocks import blocks_of_modules, normalization_kind, split_blocks
from regraft.models.catalogue import parameter_counts

NECKS = {"efficientvim_m1"}  # normalises after each stage what its last block weighs together


@pytest.mark.slow
def test_blocks_cover_one_network_of_every_family_exactly():
    covered = 0
    for name in smallest_of_each():
        network = without_memory(name)
        blocks = split_blocks(network)
        parameters = [p for block in blocks for p in block.parameters]
        buffers = [b for block in blocks for b in block.buffers]
        assert sorted(parameters) == sorted(n for n, _ in network.named_parameters()), name
        assert sorted(buffers) == sorted(n for n, _ in network.named_buffers()), name
        assert len(blocks) >= 3, name
        names = [block.name for block in blocks]
        assert len(set(names)) == len(names), name
        assert "head" not in names, name
        assert all(block.parameters for block in blocks), name
        assert sum(math.prod(p.shape) for p in network.parameters()) == parameter_counts()[name], name
        covered += 1
    assert covered >= 90, f"only {covered} families were found"


def first_calls(network: nn.Module, x: torch.Tensor) -> dict[str, int]:
    """Return when each module with tensors of its own was first called."""
    order: dict[str, int] = {}
    clock = itertools.count()
    names = {module: name for name, module in network.named_modules()}

    def note(module: nn.Module, args: object) -> None:
        order.setdefault(names[module], next(clock))

    hooks = [module.register_forward_pre_hook(note) for module in names]
    with torch.inference_mode():
        network(x)
    for hook in hooks:
        hook.remove()
    return order


def lowest_calls(network: nn.Module, x: torch.Tensor) -> list[int]:
    order = first_calls(network, x)
    firsts = []
    for block in split_blocks(network):
        modules = {p.rpartition(".")[0] for p in block.parameters} - {""}  # the network itself is called first of all
        calls = [order[m] for m in modules if m in order]
        firsts.append(min(calls))
    return firsts


@pytest.mark.slow
def test_blocks_run_bottom_to_top_in_small_networks_of_many_families():
    names = [n for n in smallest_of_each() if parameter_counts()[n] < 6_000_000 and n not in NECKS]
    for name in names:
        network = without_memory(name)
        firsts = lowest_calls(network, torch.empty(1, *network.pretrained_cfg["input_size"], device="meta"))
        assert firsts == sorted(firsts), name
    assert len(names) >= 35


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit", "test_convnext", "test_resnet", "test_nfnet"])
def test_blocks_run_bottom_to_top_with_real_numbers(name):
    from regraft.models.zoo import create_network

    network = create_network(name).eval()
    firsts = lowest_calls(network, torch.randn(2, *network.pretrained_cfg["input_size"]))
    assert len(firsts) >= 5
    assert firsts == sorted(firsts)


def test_the_default_backbone_has_the_blocks_that_its_paper_draws():
    names = [block.name for block in split_blocks(without_memory("tf_efficientnet_lite0"))]
    assert names == ["stem", *(f"blocks.{i}" for i in range(7))]


def test_a_final_normalisation_belongs_to_the_block_below():
    top = split_blocks(without_memory("test_vit"))[-1]
    assert {"norm.weight", "norm.bias", "blocks.5.attn.qkv.weight"} <= set(top.parameters)


def test_a_block_in_a_module_called_head_has_another_name():
    assert split_blocks(without_memory("hgnetv2_b0"))[-1].name == "head.last_conv"
    assert split_blocks(without_memory("efficientvit_b0"))[-1].name == "backbone.head"


class Plain(nn.Module):
    """A network that knows nothing of timm's layer groups."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(4))
        self.register_buffer("table", torch.zeros(4))
        self.stem = nn.Conv2d(3, 4, 1)
        self.drop = nn.Dropout()
        self.stages = nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)), nn.Conv2d(4, 4, 1))
        self.norm = nn.LayerNorm(4)


def test_a_network_without_layer_groups_falls_into_its_children():
    network = Plain()
    blocks = split_blocks(network)
    assert [block.name for block in blocks] == ["stem", "stages.0", "stages.1"]
    assert "token" in blocks[0].parameters
    assert blocks[0].buffers == ("table",)
    assert set(blocks[1].buffers) == {f"stages.0.1.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")}
    assert "norm.weight" in blocks[2].parameters


def test_a_network_of_one_child_is_one_block():
    blocks = split_blocks(nn.Sequential(nn.Linear(2, 2)))
    assert [block.name for block in blocks] == ["0"]


def test_modules_without_tensors_go_with_what_is_around_or_before_them():
    network = Plain()
    spans = blocks_of_modules(network, split_blocks(network))
    assert spans["drop"] == {0}
    assert spans["stages.0.1"] == {1}
    assert spans["stages"] == {1, 2}
    assert spans[""] == {0, 1, 2}


def test_kinds_of_normalization_are_known_through_their_subclasses():
    from timm.layers.norm_act import BatchNormAct2d, GroupNormAct

    assert normalization_kind(BatchNormAct2d(4)) == "batch norm"
    assert normalization_kind(GroupNormAct(4, 2)) == "group norm"
    assert normalization_kind(nn.RMSNorm(4)) == "RMS norm"
    assert normalization_kind(nn.Conv2d(3, 3, 1)) is None
