"""The model file: enough to predict, equal for equal models, and harmless whatever is in it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from regraft.disk.safetensors_file import MOST_HEADER
from regraft.errors import ModelFileError
from regraft.models import model_file
from regraft.models.classifier import Classifier
from regraft.models.freeze_ledger import block_checksums
from regraft.models.model_file import load_classifier, read_metadata, save_classifier
from regraft.models.model_metadata import MODEL_KEY, ModelMetadata
from regraft.models.zoo import build_backbone

CLASSES = ["../../x", "\x1b[31mred", "蚂蚁", "🐜 ant", "a" * 200, "", "con\n", "[bold]"]


def make_classifier(name: str = "test_efficientnet", size: int | None = 64, seed: int = 3) -> Classifier:
    classifier = Classifier(build_backbone(name, pretrained=False, size=size, seed=seed), CLASSES)
    generator = torch.Generator().manual_seed(seed)
    d = classifier.head.in_features
    classifier.set_head(
        torch.randn(len(CLASSES), d, generator=generator), torch.randn(len(CLASSES), generator=generator)
    )
    return classifier


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return make_classifier()


@pytest.fixture(scope="module")
def whole(classifier, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    save_classifier(path, classifier, {"note": "kept"})
    return path.read_bytes()


@pytest.fixture
def path(tmp_path, whole):
    found = tmp_path / "model.safetensors"
    found.write_bytes(whole)
    return found


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("test_efficientnet", 64),
        ("test_vit", None),
        ("test_vit", 96),
        ("test_convnext", 64),
        ("tf_efficientnet_lite0", None),
    ],
)
def test_a_classifier_comes_back_to_the_bit(tmp_path, name, size):
    classifier = make_classifier(name, size)
    save_classifier(tmp_path / "m.safetensors", classifier)
    torch.manual_seed(99)  # what is loaded must not depend on the random numbers of the process
    loaded = load_classifier(tmp_path / "m.safetensors")
    assert loaded.classes == tuple(CLASSES)
    assert loaded.backbone.spec == classifier.backbone.spec
    assert block_checksums(loaded) == block_checksums(classifier)
    assert loaded.trainable_blocks == ()
    assert not loaded.training
    p = classifier.backbone.spec.preprocessing
    x = torch.randn(2, 3, p.height, p.width)
    with torch.inference_mode():
        assert torch.equal(loaded(x), classifier(x))


def test_equal_classifiers_give_equal_files(tmp_path, classifier, whole):
    for number in range(3):
        path = tmp_path / f"{number}.safetensors"
        save_classifier(path, make_classifier(), {"note": "kept"})
        assert path.read_bytes() == whole


def test_what_it_says_can_be_read_without_its_tensors(path, classifier):
    said = read_metadata(path)
    assert said.classes == tuple(CLASSES)
    assert said.backbone == classifier.backbone.spec
    assert said.extra == {"note": "kept"}


def test_it_is_a_plain_safetensors_file(path):
    tensors = load_file(path)
    assert tensors["head.weight"].shape == (len(CLASSES), 256)
    assert "backbone.conv_stem.weight" in tensors


def test_it_serves_as_weights_too(path, classifier):
    backbone = build_backbone("test_efficientnet", weights=path, size=64)
    assert backbone.weights_hash() == classifier.backbone.weights_hash()
    assert backbone.notes == ()  # of a classifier of regraft, the run itself prints what it takes over


def test_saving_leaves_nothing_behind_when_it_fails(tmp_path, classifier, monkeypatch):
    import safetensors.torch

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_classifier(tmp_path / "m.safetensors", classifier)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"abc", "3 bytes are too few"),
        (b"PK\x03\x04" + bytes(60), "a zip archive, as torch.save writes it"),
        (b"\x80\x02}" + bytes(60), "a pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "damaged, or not an HDF5 file of weights"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "a PNG image"),
        (b"just some text, long enough", "not a safetensors file"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "not a safetensors file"),
        ((MOST_HEADER).to_bytes(8, "little") + b"{}", "it ends within its header"),
        ((2).to_bytes(8, "little") + b"[]", "not a safetensors file"),
        ((3).to_bytes(8, "little") + b"{x}", "not JSON"),
        ((600000).to_bytes(8, "little") + b'{"a":' * 120000, "not JSON"),
        ((2).to_bytes(8, "little") + b"{}", "not written by regraft"),
    ],
)
def test_foreign_files_are_called_what_they_are(tmp_path, content, says):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=says):
        load_classifier(path)


def test_weights_of_others_are_called_so(tmp_path):
    save_file({"conv.weight": torch.zeros(2, 2)}, tmp_path / "m.safetensors", {"format": "pt"})
    with pytest.raises(ModelFileError, match="contains tensors, but was not written by regraft"):
        load_classifier(tmp_path / "m.safetensors")


def test_no_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(ModelFileError, match="no such model file"):
            load_classifier(path)


def loads(path) -> bool:
    """Return whether the file loads; `ModelFileError` is the only exception that it may raise."""
    try:
        load_classifier(path)
    except ModelFileError:
        return False
    return True


def test_every_truncation_is_refused(tmp_path, whole):
    loads(make_path(tmp_path, whole))  # imports are not what is timed
    header = 8 + int.from_bytes(whole[:8], "little")
    lengths = {
        *range(0, 300, 7),
        *range(header - 20, header + 20),
        *range(0, len(whole), len(whole) // 60),
        len(whole) - 1,
    }
    for length in sorted(lengths):
        assert not loads(make_path(tmp_path, whole[:length])), length


def make_path(folder, content: bytes):
    path = folder / "fuzzed.safetensors"
    path.write_bytes(content)
    return path


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.data())
def test_no_flipped_bits_go_unnoticed(tmp_path, whole, data):
    header = 8 + int.from_bytes(whole[:8], "little")
    places = st.one_of(st.integers(0, 15), st.integers(0, header - 1), st.integers(0, len(whole) - 1))
    flips = data.draw(
        st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=4, unique_by=lambda f: f[0])
    )
    damaged = bytearray(whole)
    for place, mask in flips:
        damaged[place] ^= mask
    loaded = loads(make_path(tmp_path, bytes(damaged)))
    assert not loaded or says_the_same(bytes(damaged), whole)


def says_the_same(damaged: bytes, whole: bytes) -> bool:
    """Return whether only what means nothing changed, such as white space in the header."""

    def split(content: bytes) -> tuple[object, bytes]:
        end = 8 + int.from_bytes(content[:8], "little")
        return json.loads(content[8:end]), content[end:]

    return split(damaged) == split(whole)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(content=st.binary(max_size=200), length=st.integers(0, 1 << 20))
def test_no_garbage_gets_through(tmp_path, content, length):
    for start in (b"", length.to_bytes(8, "little"), len(content).to_bytes(8, "little")):
        assert not loads(make_path(tmp_path, start + content))


def forged(path, tensors=None, **changes) -> None:
    """Write a file whose checksum is right, but which says something else than `save_classifier` would."""
    tensors = load_file(path) if tensors is None else tensors
    metadata = read_metadata(path)
    spec = {k: v for k, v in changes.items() if k in {"name", "num_features", "parameters", "preprocessing"}}
    metadata = replace(metadata, backbone=replace(metadata.backbone, **spec))
    metadata = replace(metadata, **{k: v for k, v in changes.items() if k not in spec})
    metadata = replace(metadata, sha256=model_file._checksum(metadata, tensors))
    save_file(tensors, path, metadata.as_text())


def test_a_forged_backbone_is_neither_downloaded_nor_built(path):
    for name in ("hf-hub:someone/model", "local-dir:/", "../../x", "vit_gigantic_patch14_224"):
        forged(path, name=name)
        assert not loads(path)


def test_a_forged_size_is_not_allocated(path, classifier):
    p = classifier.backbone.spec.preprocessing
    forged(path, preprocessing=replace(p, height=10**7, width=10**7))
    assert not loads(path)


@pytest.mark.parametrize("changes", [{"num_features": 7}, {"classes": ("a", "b")}, {"classes": ("a",)}])
def test_forged_counts_are_refused(path, changes):
    forged(path, **changes)
    assert not loads(path)


def test_missing_and_foreign_tensors_are_named(path):
    tensors = load_file(path)
    forged(path, {**tensors, "backbone.more": torch.zeros(1)})
    with pytest.raises(ModelFileError, match="more: unexpected, shape"):
        load_classifier(path)
    del tensors["backbone.bn1.weight"]
    forged(path, tensors | {"backbone.conv_stem.weight": torch.zeros(1000, 1000)})
    with pytest.raises(ModelFileError, match=r"conv_stem\.weight: expected shape(.|\n)*bn1\.weight: missing"):
        load_classifier(path)


def test_counters_may_be_absent(path, classifier):
    forged(path, {k: v for k, v in load_file(path).items() if "num_batches_tracked" not in k})
    assert load_classifier(path).classes == tuple(CLASSES)


def test_a_newer_format_asks_for_an_upgrade(path):
    tensors = load_file(path)
    values = json.loads(read_metadata(path).as_text()[MODEL_KEY])
    save_file(tensors, path, {MODEL_KEY: json.dumps({**values, "format": 3})})
    with pytest.raises(ModelFileError, match="format 3, and this regraft reads up to 2: upgrade regraft"):
        load_classifier(path)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": "ab"},
        {"classes": ["a", 1]},
        {"classes": ["a", "a"]},
        {"extra": {"a": 1}},
        {"extra": []},
        {"backbone": []},
        {"backbone": {"name": "x"}},
        {"format": "1"},
        {"format": True},
    ],
)
def test_metadata_of_another_shape_is_refused(path, change):
    tensors = load_file(path)
    values = json.loads(read_metadata(path).as_text()[MODEL_KEY])
    save_file(tensors, path, {MODEL_KEY: json.dumps(values | change)})
    with pytest.raises(ModelFileError, match="not a usable model file"):
        load_classifier(path)


def test_metadata_survives_its_text(path):
    said = read_metadata(path)
    assert ModelMetadata.from_text(said.as_text()) == said
