"""Files of lower precision: smaller, compared on labeled photos, and refused if half a point may be lost."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest

import regraft as rg
from cli.conftest import regraft  # noqa: F401 (a fixture)
from exported_models import CLASSES, tiny_classifier
from making import make_photos
from regraft.errors import ConfigError, ProofError
from regraft.export import compression, labeled_photos
from regraft.export.compressed_network import in_half_precision
from regraft.export.export_folder import export_model
from regraft.export.exported_file import ExportedFile
from regraft.export.repeat_proof import repeat_proof
from regraft.run.folder import RunFolder
from regraft.screen import QuietScreen


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny):
    root = tmp_path_factory.mktemp("lower")
    photos = make_photos(root / "photos", {"ash": 40, "birch": 40})
    return rg.train(photos, recipe="linear-probe", out=root / "run", **tiny)


@pytest.fixture(scope="module")
def exports(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("exports")
    return {kind: export_model(run.folder, out / kind, precision=kind) for kind in ("fp32", "int8", "fp16")}


@pytest.mark.parametrize("kind", ["int8", "fp16"])
def test_a_smaller_file_answers_nearly_alike(exports, kind, run):
    made, usual = exports[kind], exports["fp32"]
    assert made.file.stat().st_size < 0.75 * usual.file.stat().st_size
    found = made.compression
    assert found.is_good and found.photos >= 20 and found.same_label >= 0.95 * found.photos
    assert found.size == (made.file.stat().st_size, found.size[1]) and min(found.milliseconds) > 0
    assert made.proof.photos == "photos that measured the run" and made.proof.passed
    stored = json.loads((made.folder / "proof.json").read_text())
    assert stored["compression"]["precision"] == kind and stored["minimum_share"] <= 1
    assert usual.compression is None


def test_only_the_network_is_quantized(exports):
    nodes = onnx.load(exports["int8"].file).graph.node
    quantized = {node.input[0].split("/")[0] for node in nodes if node.op_type == "DequantizeLinear"}
    assert quantized == {"network_0"}
    halves = [
        one for one in onnx.load(exports["fp16"].file).graph.initializer if one.data_type == onnx.TensorProto.FLOAT16
    ]
    assert len(halves) > 3 and all(one.name.startswith("network_0/") for one in halves)


def test_a_proof_of_lower_precision_is_repeated_by_its_own_tolerance(exports, run, tmp_path):
    made = exports["int8"]
    photos = run.folder.parent / "photos"
    again = repeat_proof(made.file, photos, QuietScreen())
    assert again["compared"] == len(made.proof.comparisons) and again["same_label"] == made.proof.same_labels
    copy = shutil.copytree(made.folder, tmp_path / "copy")
    proof = json.loads((copy / "proof.json").read_text())
    strict = proof | {"tolerance": made.proof.largest_difference / 9, "minimum_share": 0.9}
    (copy / "proof.json").write_text(json.dumps(strict))
    with pytest.raises(ProofError, match=r"expected the same class for 90.0 %"):
        repeat_proof(copy / "model.onnx", photos, QuietScreen())


def test_a_loss_of_more_than_half_a_point_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "MAX_LOSS", -0.001)  # a gain is expected
    with pytest.raises(
        ProofError, match=r"--fp16 is refused.*\n  fp16 weights: .*MB instead of.*\n  more labeled"
    ) as refused:
        export_model(run.folder, tmp_path / "out", precision="fp16")
    assert "95 % interval" in str(refused.value) and list(tmp_path.iterdir()) == []


@pytest.mark.slow  # it exports three graphs
def test_if_integers_cost_too_much_only_the_weights_are_integers(run, tmp_path, monkeypatch):
    good = compression.Compression.is_good
    monkeypatch.setattr(
        compression.Compression, "is_good", property(lambda one: one.method == "weights" and good.fget(one))
    )
    made = export_model(run.folder, tmp_path / "out", precision="int8")
    assert made.compression.method == "weights" and made.proof.passed
    assert made.notes[-1].startswith("int8 weights and activations: the same class for ")
    graph = onnx.load(made.file).graph
    stored = {one.name: one.data_type for one in graph.initializer}
    assert onnx.TensorProto.INT8 in stored.values()
    assert "DequantizeLinear" not in {node.op_type for node in graph.node}
    assert made.compression.size[0] < 0.6 * made.compression.size[1]


def test_a_model_without_a_run_needs_labeled_photos(tmp_path):
    tiny_classifier().save(tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match=r"compared on labeled photos.*\n  name a folder"):
        export_model(tmp_path / "model.safetensors", precision="int8")
    photos = make_photos(tmp_path / "photos", dict.fromkeys(CLASSES, 12))
    made = export_model(tmp_path / "model.safetensors", precision="fp16", photos=photos)
    assert made.folder == tmp_path / "export" / "onnx-fp16"
    assert made.compression.photos == 27  # every fourth photo sets the ranges of integers
    with pytest.raises(ConfigError, match=r"expected a folder for each class \(ant, bee, wasp\)"):
        export_model(tmp_path / "model.safetensors", precision="int8", photos=photos / "ant")


def test_photos_of_a_folder_have_the_class_of_the_nearest_folder(tmp_path, run):
    photos = make_photos(tmp_path / "photos" / "ash", {"birch": 2, "cedar": 1})
    found = labeled_photos.find_labeled_photos(RunFolder(run.folder), photos.parent, ("ash", "birch"))
    assert sorted(found.labels[content] for content in found.photos.values()) == [0, 1, 1]
    assert len(found.calibration) == labeled_photos.MAX_CALIBRATION and found.usual_margins is None


def test_recorded_margins_belong_to_the_photos_that_are_compared(run):
    known = labeled_photos.find_labeled_photos(RunFolder(run.folder), None, ("ash", "birch"))
    assert known.labels and set(known.labels) <= set(known.usual_margins)
    metrics = json.loads((run.folder / "metrics.json").read_text())
    right = sum(known.usual_margins[content] > 0 for content in known.labels) / len(known.labels)
    assert right == pytest.approx(metrics["measured"][metrics["headline"]]["figures"]["accuracy"]["value"])


def test_weights_beyond_half_precision_stay_finite():
    values = np.full((2, 300), 1e9, np.float32)
    tensor = onnx.numpy_helper.from_array(values, "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph([node], "g", [info("x", 1, [1, 2])], [info("y", 1, [1, 300])], [tensor])
    made = in_half_precision(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]))
    assert np.isfinite(onnx.numpy_helper.to_array(made.graph.initializer[0])).all()
    assert [node.op_type for node in made.graph.node] == ["Cast", "MatMul"]
    onnx.checker.check_model(made)


def test_precision_applies_to_onnx_only(run):
    for more, why in (({"format": "timm"}, "--format timm"), ({"input": "tensor"}, "--input tensor")):
        with pytest.raises(ConfigError, match=rf"--int8 does not apply to {why}"):
            export_model(run.folder, precision="int8", **more)


@pytest.mark.slow  # two more exports
def test_the_command_prints_size_time_and_accuracy(regraft, run, tmp_path):  # noqa: F811
    said = regraft("export", run.folder, "--fp16", "-o", tmp_path / "half")
    assert said.code == 0, said.err
    assert "MB instead of" in said.out and "the same class for" in said.out and "95 % interval" in said.out
    assert "exclude each other" in regraft("export", run.folder, "--fp16", "--int8").one_message()
    again = regraft("export", "--prove", tmp_path / "half" / "model.onnx", run.folder.parent / "photos")
    assert again.code == 0 and again.out.startswith("the same class for ")
    assert ExportedFile(tmp_path / "half" / "model.onnx").classes == ("ash", "birch")
