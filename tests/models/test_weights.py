"""Weights from files: every common wrapping is taken off, and what does not fit is named in full."""

from __future__ import annotations

import pickle
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from regraft.errors import WeightsError
from regraft.models.classifier import Classifier
from regraft.models.linear_head import set_bounds
from regraft.models.timm_import import import_timm
from regraft.models.weights import fit_weights, read_weights
from regraft.models.zoo import build_backbone, create_network

NAME = "test_resnet"


@pytest.fixture(scope="module")
def pretrained() -> dict[str, torch.Tensor]:
    """The state of a whole network, with its classifier of 1,000 classes, as a download would be."""
    torch.manual_seed(7)
    return import_timm().create_model(NAME, num_classes=1000).state_dict()


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(8)
    return create_network(NAME, 64)


def fits(network: nn.Module, state: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> tuple[str, ...]:
    notes = fit_weights(network, state, "the file")
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[name].to(value.dtype)), name
    return notes


WRAPPINGS = {
    "bare": lambda s: s,
    "state_dict": lambda s: {"epoch": 3, "state_dict": s, "optimizer": {}},
    "model": lambda s: {"model": s},
    "averaged first": lambda s: {"model": {k: v * 0 for k, v in s.items()}, "model_ema": s},
    "two deep": lambda s: {"model": {"state_dict": s}},
    "data parallel": lambda s: {f"module.{k}": v for k, v in s.items()},
    "compiled": lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
    "compiled and parallel": lambda s: {"state_dict": {f"module._orig_mod.{k}": v for k, v in s.items()}},
    "lightning": lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}},
    "ordered": OrderedDict,
}


@pytest.mark.parametrize(
    ("wrapping", "ending"), [*((name, "pt") for name in WRAPPINGS), ("bare", "pth"), ("model", "bin")]
)
def test_pickled_wrappings_are_taken_off(tmp_path, network, pretrained, wrapping, ending):
    path = tmp_path / f"weights.{ending}"
    torch.save(WRAPPINGS[wrapping](pretrained), path)
    notes = fits(network, read_weights(path).state, pretrained)
    assert notes == ("its classifier of 1,000 classes was dropped",)


def test_safetensors_of_half_precision_fit(tmp_path, network, pretrained):
    path = tmp_path / "weights.safetensors"
    half = {k: v.half() if v.is_floating_point() else v for k, v in pretrained.items()}
    save_file(half, path)
    assert fits(network, read_weights(path).state, half) == ("its classifier of 1,000 classes was dropped",)


def test_counters_may_be_absent(network, pretrained):
    state = {k: v for k, v in pretrained.items() if "num_batches_tracked" not in k}
    counters = {k: v.clone() for k, v in network.state_dict().items() if "num_batches_tracked" in k}
    assert counters
    assert fits(network, state, pretrained | counters) == ("its classifier of 1,000 classes was dropped",)


def test_no_note_without_a_classifier(network, pretrained):
    state = {k: v for k, v in pretrained.items() if not k.startswith("fc.")}
    assert fits(network, state, pretrained) == ()


def test_everything_that_does_not_fit_is_named_at_once(network, pretrained):
    before = {k: v.clone() for k, v in network.state_dict().items()}
    state = dict(pretrained)
    state["layer1.0.conv1.weight"] = torch.zeros(5, 5)
    state["layer9.weight"] = torch.zeros(2)
    del state["layer2.0.bn1.bias"]
    with pytest.raises(WeightsError, match=r"^my.pth does not match the network: 3 problems\n") as caught:
        fit_weights(network, state, "my.pth")
    text = str(caught.value)
    shape = tuple(before["layer1.0.conv1.weight"].shape)
    assert f"layer1.0.conv1.weight: expected shape {shape}, found (5, 5)" in text
    assert f"layer2.0.bn1.bias: missing, expected shape {tuple(before['layer2.0.bn1.bias'].shape)}" in text
    assert "layer9.weight: unexpected, shape (2,)" in text
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items()), "nothing is loaded by half"


def test_the_list_is_bounded(network):
    with pytest.raises(WeightsError, match="more of this kind") as caught:
        fit_weights(network, {"x": torch.zeros(1)}, "my.pth")
    assert len(str(caught.value).splitlines()) < 20


def test_a_position_table_is_resampled_to_another_input_size():
    state = import_timm().create_model("test_vit", num_classes=10).state_dict()
    network = create_network("test_vit", 96)
    notes = fit_weights(network, state, "the file")
    assert notes == ("its classifier of 10 classes was dropped",)
    assert network.pos_embed.shape[1] < state["pos_embed"].shape[1]
    assert torch.equal(network.blocks[0].attn.qkv.weight, state["blocks.0.attn.qkv.weight"])


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_runs_code_is_refused_in_one_line(tmp_path, legacy):
    path = tmp_path / "bomb.pt"
    torch.save({"state_dict": Bomb()}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match=r"contains more than tensors, or is damaged; .* could run code") as caught:
        read_weights(path)
    assert "torch.save(model.state_dict(), FILE)" in str(caught.value)


def test_a_bare_pickle_and_a_whole_module_are_refused(tmp_path):
    bare, module = tmp_path / "bare.pth", tmp_path / "module.pth"
    bare.write_bytes(pickle.dumps({"a": Bomb()}))
    torch.save(nn.Linear(2, 2), module)
    for path in (bare, module):
        with pytest.raises(WeightsError, match=path.name):
            read_weights(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}", b"hello" * 100, bytes(64)])
@pytest.mark.parametrize("ending", ["pt", "safetensors", "bin"])
def test_damaged_files_are_refused(tmp_path, content, ending):
    path = tmp_path / f"w.{ending}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"w\.{ending}"):
        read_weights(path)


def test_truncated_files_are_refused(tmp_path, pretrained):
    for ending, write in (("pt", torch.save), ("safetensors", save_file)):
        path = tmp_path / f"w.{ending}"
        write(pretrained, path)
        whole = path.read_bytes()
        for share in (0.001, 0.1, 0.5, 0.999):
            path.write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(WeightsError, match=r"is damaged|is not a usable weights file"):
                read_weights(path)


@pytest.mark.parametrize("value", [{"a": 1}, [torch.zeros(1)], {}, {"state_dict": {}}, 3])
def test_files_without_named_tensors_are_refused(tmp_path, value):
    path = tmp_path / "w.pt"
    torch.save(value, path)
    with pytest.raises(WeightsError, match="no tensors by name"):
        read_weights(path)


def test_no_file_and_another_ending(tmp_path):
    with pytest.raises(WeightsError, match="no such weights file"):
        read_weights(tmp_path / "none.pt")
    (tmp_path / "w.onnx").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"expected a weights file ending in one of .*safetensors.*'\.onnx'"):
        read_weights(tmp_path / "w.onnx")


def test_a_backbone_from_a_file_says_what_it_left_out(tmp_path, pretrained):
    path = tmp_path / "mine.safetensors"
    save_file(pretrained, path)
    backbone = build_backbone(NAME, weights=path, size=64)
    assert backbone.notes == ("mine.safetensors: its classifier of 1,000 classes was dropped",)
    assert backbone.spec.weights == "mine.safetensors"
    assert backbone.spec.licence is None
    assert torch.equal(backbone.network.conv1[0].weight, pretrained["conv1.0.weight"])


def test_weights_of_another_network_are_refused(tmp_path, pretrained):
    path = tmp_path / "mine.pt"
    torch.save(pretrained, path)
    with pytest.raises(WeightsError, match=r"mine\.pt does not match the network"):
        build_backbone("test_efficientnet", weights=path)


def test_bounds_of_the_head_are_no_weights(tmp_path):
    """The model file of a linear probe has them; training goes on from its backbone all the same."""
    backbone = build_backbone(NAME, pretrained=False, size=64)
    classifier = Classifier(backbone, ["ant", "bee"])
    ones = torch.ones(backbone.spec.num_features)
    set_bounds(classifier.head, (-ones, ones))
    classifier.save(tmp_path / "model.safetensors")
    again = build_backbone(NAME, weights=tmp_path / "model.safetensors", size=64).network.state_dict()
    for name, value in backbone.network.state_dict().items():
        assert torch.equal(again[name], value), name
