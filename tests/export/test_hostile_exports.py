"""Exports under conditions that break the tools of others: odd names, full disks, interrupts, other people's files."""

from __future__ import annotations

import errno
import json
import os
import runpy
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import regraft as rg
from exported_models import CLASSES, tiny_classifier
from regraft.errors import ConfigError, ModelFileError
from regraft.export import export_folder, formats
from regraft.export.export_folder import export_model
from regraft.export.exported_file import ExportedFile
from regraft.export.repeat_proof import repeat_proof
from regraft.screen import QuietScreen

NAMES = [
    "a, b",
    "line\nbreak",
    "tab\there",
    "<b>&amp;</b>",
    "  space ",
    "ä 名 \u202e",
    'quote "',
    "\udcff",
    "0",
    "-- x",
]


def classifier_of(names, seed=0):
    backbone = rg.build_backbone("test_resnet", pretrained=False, size=64)
    classifier = rg.Classifier(backbone, list(names))
    draw = torch.Generator().manual_seed(seed)
    shape = (len(names), backbone.spec.num_features)
    classifier.set_head(torch.randn(*shape, generator=draw), torch.randn(len(names), generator=draw) / 10)
    return classifier


@pytest.fixture(scope="module")
def odd_names(tmp_path_factory):
    path = tmp_path_factory.mktemp("names") / "model.safetensors"
    classifier_of(NAMES).save(path)
    return path


def test_a_label_is_a_line_whatever_is_in_its_name(odd_names, tmp_path):
    made = export_model(odd_names, tmp_path / "out")
    lines = (made.folder / "labels.txt").read_bytes().decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
    assert lines == [name.replace("\n", "\\n") for name in NAMES]
    assert json.loads((made.folder / "facts.json").read_text())["classes"] == NAMES
    assert ExportedFile(made.file).classes == tuple(NAMES)
    assert made.proof.passed
    _, _, page = (made.folder / "README.md").read_text(errors="surrogateescape")[4:].partition("---\n")
    assert "line\nbreak" not in page and "<b>" not in page


@pytest.mark.slow
def test_openvino_has_the_same_names(odd_names, tmp_path):
    pytest.importorskip("openvino")
    made = export_model(odd_names, tmp_path / "out", format="openvino")
    assert ExportedFile(made.file).classes == tuple(NAMES)


def test_timm_has_the_same_names(odd_names, tmp_path):
    made = export_model(odd_names, tmp_path / "out", format="timm")
    assert json.loads((made.folder / "config.json").read_text())["label_names"] == NAMES


def test_a_thousand_classes(tmp_path):
    classifier_of([f"class {k:04}" for k in range(1000)]).save(tmp_path / "model.safetensors")
    made = export_model(tmp_path / "model.safetensors", tmp_path / "out")
    assert made.proof.passed
    assert len((made.folder / "labels.txt").read_text().splitlines()) == 1000
    assert len((made.folder / "README.md").read_text()) < 4000


def test_the_program_prints_any_name_on_any_terminal(odd_photos, tmp_path):
    import subprocess
    import sys

    classifier_of(["line\nbreak ä", "tab\there 名"]).save(tmp_path / "model.safetensors")
    made = export_model(tmp_path / "model.safetensors", tmp_path / "aus gabe ä")
    run = [sys.executable, made.folder / "predict.py", odd_photos / "large.jpg", odd_photos / "名字 with spaces.webp"]
    done = subprocess.run(run, capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.stderr == b""
    assert [line.count(b"\t") for line in done.stdout.splitlines()] == [3, 3]


@pytest.mark.parametrize("given", ["photos", "tensor"])
def test_the_readme_describes_what_is_there(model_file, tmp_path, given):
    made = export_model(model_file, tmp_path / "out", input=given)
    text = (made.folder / "README.md").read_text()
    assert "predict.py" not in text
    assert f"as `{given}`" in text
    assert "library_name: onnx\n" in text and "timm" not in text.partition("# Photo classifier")[0]


def test_other_peoples_files_stay(model_file, tmp_path):
    out = tmp_path / "out"
    export_model(model_file, out)
    (out / "node_modules" / "sharp").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".DS_Store"):
        (out / name).write_text("{}")
    export_model(model_file, out, input="tensor")
    assert (out / "node_modules" / "sharp").is_dir()
    assert {"package.json", ".DS_Store", "model.onnx"} <= {path.name for path in out.iterdir()}
    assert not (out / "predict.py").exists()


def state(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("call", range(4))
def test_an_interrupt_or_a_full_disk_leaves_the_earlier_export(model_file, tmp_path, monkeypatch, error, call):
    out = tmp_path / "parent" / "out"
    export_model(model_file, out)
    before = state(tmp_path)
    names = [(formats, "write_bytes"), (formats, "write_text"), (export_folder, "write_json"), (Path, "replace")]
    module, name = names[call]
    usual, calls = getattr(module, name), []

    def failing(*arguments, **options):
        calls.append(1)
        if len(calls) == 1 + (call == 3):
            raise error
        return usual(*arguments, **options)

    monkeypatch.setattr(module, name, failing)
    with pytest.raises(type(error)):
        export_model(model_file, out, input="photos")
    assert state(tmp_path) == before


def test_a_failed_export_leaves_no_empty_folders(model_file, tmp_path, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(export_folder, "write_json", fail)
    with pytest.raises(KeyboardInterrupt):
        export_model(model_file, tmp_path / "a" / "b" / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_on_another_disk_is_written(model_file, tmp_path):
    disk = Path("/dev/shm")
    if not disk.is_dir() or disk.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system on this machine")
    place = disk / f"regraft-{os.getpid()}"
    place.mkdir()
    try:
        (tmp_path / "out").symlink_to(place)
        export_model(model_file, tmp_path / "out")
        export_model(model_file, tmp_path / "out", input="tensor")
        assert (tmp_path / "out").is_symlink()
        assert sorted(path.name for path in place.iterdir()) == ["README.md", "labels.txt", "model.onnx", "proof.json"]
    finally:
        shutil.rmtree(place)


def test_a_folder_whose_parent_is_read_only_is_written(model_file, tmp_path, monkeypatch):
    """A mounted folder of a container: it is writable, the one above it is not."""
    out = tmp_path / "out"
    out.mkdir()
    usual = tempfile.mkdtemp

    def refusing(suffix=None, prefix=None, dir=None):  # noqa: A002
        if dir == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/{prefix}x")
        return usual(suffix, prefix, dir)

    monkeypatch.setattr(tempfile, "mkdtemp", refusing)
    assert export_model(model_file, out).file.is_file()
    assert not any(path.name.startswith(".part-") for path in out.iterdir())
    with pytest.raises(PermissionError) as error:
        export_model(model_file, tmp_path / "new")
    assert error.value.filename == str(tmp_path)


def test_files_of_an_export_have_the_usual_rights(model_file, tmp_path):
    made = export_model(model_file, tmp_path / "out")
    (tmp_path / "usual").mkdir()
    assert made.folder.stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert {oct(path.stat().st_mode & 0o777) for path in made.folder.iterdir()} == {oct(0o666 & ~_umask())}


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


WRONG = {
    "format": ("coreml", "format: expected one of onnx, openvino, timm, web, found 'coreml'"),
    "input": ("image", "input: expected one of photo, photos, tensor, found 'image'"),
    "precision": ("int4", "precision: expected one of fp32, int8, fp16, found 'int4'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_unknown_form_is_named(model_file, tmp_path, name):
    value, message = WRONG[name]
    with pytest.raises(ConfigError, match=message):
        export_model(model_file, tmp_path / "out", **{name: value})
    assert list(tmp_path.iterdir()) == []


def test_photos_for_a_file_without_a_proof_are_refused(model_file, odd_photos, tmp_path):
    with pytest.raises(ConfigError, match="--photos does not apply to --input tensor: such a file has no proof"):
        export_model(model_file, tmp_path / "out", input="tensor", photos=odd_photos)


def test_what_cannot_be_proven_again_is_named(model_file, odd_photos, tmp_path):
    made = export_model(model_file, tmp_path / "out", format="timm")
    page = tmp_path / "classifier.html"
    page.write_text("<!DOCTYPE html>")
    for file in (made.folder, page, model_file):
        with pytest.raises(ModelFileError, match=r"expected a model\.onnx or a model\.xml of regraft export"):
            repeat_proof(file, odd_photos, QuietScreen())


@pytest.mark.slow
def test_two_networks_answer_as_predict_does(odd_photos, tmp_path):
    rg.Ensemble([tiny_classifier(), tiny_classifier(seed=1, size=96)]).save(tmp_path / "model.safetensors")
    made = export_model(tmp_path / "model.safetensors", tmp_path / "out", photos=odd_photos)
    assert made.proof.passed
    assert ExportedFile(made.file).classes == tuple(CLASSES)


def test_the_order_of_the_labels_is_that_of_the_probabilities(odd_photos, tmp_path):
    names = ["zebra", "10", "2", "Ant", "ant"]
    classifier_of(names).save(tmp_path / "model.safetensors")
    made = export_model(tmp_path / "model.safetensors", tmp_path / "out", photos=odd_photos)
    assert (made.folder / "labels.txt").read_text().splitlines() == names
    pixels = runpy.run_path(str(made.folder / "predict.py"))["read"](odd_photos / "gray.png")
    probabilities = ExportedFile(made.file).classify(pixels)
    expected = dict(rg.Predictor.load(tmp_path / "model.safetensors").predict(odd_photos / "gray.png").top)
    assert probabilities == pytest.approx([expected[name] for name in names], abs=1e-5)


@pytest.mark.slow
def test_a_moved_run_is_exported_with_generated_images(tmp_path, tiny):
    from making import make_photos

    photos = make_photos(tmp_path / "photos", {"a": 12, "b": 12})
    run = rg.train(photos, recipe="linear-probe", out=tmp_path / "run", **tiny)
    shutil.move(run.folder, tmp_path / "else where")
    shutil.rmtree(photos)
    made = export_model(tmp_path / "else where")
    assert (made.proof.photos, made.proof.passed) == ("generated images", True)
    with pytest.raises(ConfigError, match=r"no finished run whose photos are still there\n  name a folder"):
        export_model(tmp_path / "else where", precision="fp16")


def test_standard_operators_only(model_file, tmp_path):
    model = onnx.load(export_model(model_file, tmp_path / "out").file)
    assert {one.domain for one in model.opset_import} <= {"", "ai.onnx"}
    assert {node.domain for node in model.graph.node} == {""}
    onnx.checker.check_model(model, full_check=True)


def test_pixels_of_other_shapes_are_refused_by_the_file(model_file, tmp_path):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(export_model(model_file, tmp_path / "out").file))
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(Exception, match=r"INVALID_ARGUMENT|Invalid|Unexpected"):
            session.run(None, {"photo": wrong})
