"""The model file of an ensemble: to the bit, shared weights once, and harmless whatever is in it."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from regraft.errors import ConfigError, ModelFileError
from regraft.models import model_file
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.models.ensemble_metadata import metadata_from_text
from regraft.models.model_file import load_classifier, read_metadata, save_classifier
from regraft.models.model_metadata import MODEL_KEY, FormatError, ModelMetadata
from regraft.models.zoo import build_backbone

CLASSES = ["ant", "bee"]


def make_classifier(name: str = "test_resnet", seed: int = 0) -> Classifier:
    classifier = Classifier(build_backbone(name, pretrained=False, size=64, seed=seed), CLASSES, own=True)
    torch.nn.init.normal_(classifier.head.weight, generator=torch.Generator().manual_seed(seed))
    bound = torch.full((classifier.head.in_features,), 5.0)
    classifier.set_head(classifier.head.weight.detach(), torch.zeros(2), (-bound, bound))
    classifier.facts["engine"] = f"engine {seed}"
    return classifier


def tuned(classifier: Classifier) -> Classifier:
    """Return a copy whose upper block and head have changed."""
    changed = Classifier(classifier.backbone, CLASSES)
    with torch.no_grad():
        changed.backbone.network.get_parameter(changed.backbone.blocks[-1].parameters[0]).add_(1.0)
        changed.head.weight.fill_(0.5)
    return changed


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    first = make_classifier()
    made = Ensemble([[first, make_classifier("test_efficientnet", 1)], tuned(first)], [0.25, 0.75], own=True)
    made.facts["views"] = "2"
    return made


@pytest.fixture
def path(tmp_path, ensemble):
    ensemble.save(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_an_ensemble_comes_back_to_the_bit(path, ensemble):
    loaded = Ensemble.load(path)
    assert [len(group) for group in loaded.groups] == [2, 1]
    assert (loaded.weights, loaded.classes, loaded.facts) == ((0.25, 0.75), ("ant", "bee"), {"views": "2"})
    assert [member.facts for member in loaded.members] == [{"engine": "engine 0"}, {"engine": "engine 1"}, {}]
    assert [member.backbone.spec for member in loaded.members] == [m.backbone.spec for m in ensemble.members]
    for one, other in zip(loaded.members, ensemble.members, strict=True):
        bounds = one.feature_bounds, other.feature_bounds
        assert (bounds == (None, None)) if one is loaded.members[2] else torch.equal(bounds[0][1], bounds[1][1])
    for one, other in zip(loaded.state_dict().values(), ensemble.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_equal_ensembles_give_equal_files(path, tmp_path):
    Ensemble.load(path).save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_shared_weights_are_stored_once(path, tmp_path, ensemble):
    save_classifier(tmp_path / "one.safetensors", ensemble.members[0])
    Ensemble([ensemble.members[0], ensemble.members[2]]).save(tmp_path / "two.safetensors")
    one, two = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("one", "two"))
    assert two < 1.7 * one  # the changed tensor is the largest of this network
    assert sorted(name for name in load_file(path) if name.startswith("2.")) == [
        f"2.backbone.{ensemble.members[2].backbone.blocks[-1].parameters[0]}",
        "2.head.bias",
        "2.head.weight",
    ]


def test_older_versions_ask_for_an_upgrade(path):
    """The reader of single classifiers is the one of versions before ensembles."""
    text = {MODEL_KEY: read_metadata(path).as_text()[MODEL_KEY]}
    with pytest.raises(FormatError, match="format 2, and this regraft reads up to 1: upgrade regraft"):
        ModelMetadata.from_text(text)


def test_a_single_classifier_is_an_ensemble_of_one(tmp_path):
    classifier = make_classifier()
    classifier.save(tmp_path / "one.safetensors")
    loaded = Ensemble.load(tmp_path / "one.safetensors")
    assert (loaded.weights, loaded.facts, len(loaded.members)) == ((1.0,), {"engine": "engine 0"}, 1)


def test_a_classifier_is_not_read_from_an_ensemble(path):
    with pytest.raises(ModelFileError, match=r"3 classifiers side by side; expected one\n.*Ensemble\.load"):
        Classifier.load(path)
    with pytest.raises(ConfigError, match="backbone: 3 networks in the file, test_resnet, test_efficientnet"):
        load_classifier(path, backbone=build_backbone("test_resnet", pretrained=False, size=64))


def test_weights_for_one_network_are_not_read_from_several(path):
    with pytest.raises(ModelFileError, match=r"contains 3 networks \(test_resnet, test_efficientnet, test_resnet\)"):
        build_backbone("test_resnet", weights=path, size=64)


def forge(path, change=lambda values: None, tensors=None) -> None:
    """Write a file whose checksum is right, but whose metadata or tensors are other ones."""
    tensors = load_file(path) if tensors is None else tensors
    metadata = read_metadata(path)
    values = json.loads(metadata.as_text()[MODEL_KEY])
    change(values)
    text = {MODEL_KEY: json.dumps(values, sort_keys=True)}
    with contextlib.suppress(FormatError):  # other mistakes are found before the checksum is compared
        forged = metadata_from_text(text)
        text = replace(forged, sha256=model_file._checksum(forged, tensors)).as_text()
    save_file(tensors, path, text)


def member(values, number=2):
    return [one for group in values["groups"] for one in group["members"]][number]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v: v.update(groups=[]), "its groups are not a list of 1 to 16"),
        (lambda v: v.update(groups={}), "its groups are not a list of 1 to 16"),
        (lambda v: v.update(groups=["x"]), "a group is not a list of 1 to 16 members"),
        (lambda v: v["groups"][0].update(members=[]), "a group is not a list of 1 to 16 members"),
        (lambda v: v["groups"][0].update(members=v["groups"][0]["members"] * 8), "more than 16 members"),
        (lambda v: v["groups"][0].update(weight=0), "the weight of a group is not a number above 0"),
        (lambda v: v["groups"][0].update(weight=True), "the weight of a group is not a number above 0"),
        (lambda v: v["groups"][0].update(weight=float("nan")), "the weight of a group is not a number above 0"),
        (lambda v: v["groups"][0].update(weight=0.5), "weights that do not sum to 1"),
        (lambda v: member(v).update(base=2), "member 2 has an invalid base: expected an earlier member, found 2"),
        (lambda v: member(v).update(base=-1), "member 2 has an invalid base"),
        (lambda v: member(v).update(base=True), "member 2 has an invalid base"),
        (lambda v: member(v).update(base=None), "does not match test_resnet"),
        (lambda v: member(v).update(base=1), "does not match test_resnet"),
        (lambda v: member(v).update(more=1), "its description of member 2 is damaged"),
        (lambda v: member(v).update(extra={"a": 1}), "its extra values are not text"),
        (lambda v: member(v)["backbone"].update(name="../../x"), "is not usable with the installed timm"),
        (lambda v: member(v)["backbone"].update(num_features=7), "its head does not match its 2 classes"),
        (lambda v: v.update(classes=["a", "b", "c"]), "its head does not match its 3 classes"),
        (lambda v: v.pop("groups"), "its metadata lacks groups"),
        (lambda v: v["groups"][1]["members"].clear(), "a group is not a list of 1 to 16 members"),
    ],
)
def test_forged_metadata_is_refused(path, change, expected):
    forge(path, change)
    with pytest.raises(ModelFileError, match=expected):
        load_classifier(path)


def test_missing_and_foreign_tensors_are_refused(path):
    tensors = load_file(path)
    forge(path, tensors={**tensors, "3.head.weight": torch.zeros(1)})
    with pytest.raises(ModelFileError, match=r"1 of its \d+ tensors belong to none of its 3 members"):
        load_classifier(path)
    forge(path, tensors={name: value for name, value in tensors.items() if name != "2.head.weight"})
    with pytest.raises(ModelFileError, match="its head does not match"):
        load_classifier(path)


def test_a_damaged_file_is_refused(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="damaged: its checksum differs"):
        load_classifier(path)


def test_metadata_is_read_without_tensors(path, ensemble):
    metadata = read_metadata(path)
    assert [one.base for one in metadata.members] == [None, None, 0]
    assert replace(metadata, sha256="").weights == ensemble.weights
