"""An exported folder: its files, its proof, and the programs in it."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import shutil

import numpy as np
import onnx
import pytest

import regraft as rg
from exported_models import CLASSES, tiny_classifier
from regraft.errors import ConfigError, ModelFileError, ProofError
from regraft.export import formats
from regraft.export.export_folder import export_model
from regraft.export.exported_file import ExportedFile
from regraft.export.proof import Proof
from regraft.export.repeat_proof import repeat_proof
from regraft.screen import QuietScreen


@pytest.fixture(scope="module")
def exported(model_file, odd_photos, tmp_path_factory):
    return export_model(model_file, tmp_path_factory.mktemp("out") / "onnx", photos=odd_photos)


def test_photos_of_all_kinds_are_answered_alike(exported, odd_photos):
    proof = exported.proof
    assert (len(proof.comparisons), proof.unreadable) == (len(list(odd_photos.iterdir())) - 1, 1)
    assert proof.passed
    assert proof.largest_difference < 1e-5


def test_files_in_the_folder(exported):
    names = {path.name for path in exported.folder.iterdir()}
    programs = {"predict.py", "predict.mjs", "pixels.mjs", "facts.json"}
    assert names == {"model.onnx", "labels.txt", *programs, "README.md", "proof.json"}
    assert (exported.folder / "labels.txt").read_text().splitlines() == CLASSES
    proof = json.loads((exported.folder / "proof.json").read_text())
    assert proof["sha256"] == hashlib.sha256(exported.file.read_bytes()).hexdigest()
    assert proof["same_label"] == proof["compared"] == len(proof["answers"])


def test_the_file_names_its_classes_and_its_origin(exported, model_file):
    facts = {prop.key: prop.value for prop in onnx.load(exported.file).metadata_props}
    assert json.loads(facts["classes"]) == CLASSES
    assert facts["weights_sha256"] == hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert facts["regraft"] == rg.__version__


def test_the_program_in_the_folder_answers_alike(exported, odd_photos, monkeypatch, capsys):
    paths = sorted(str(path) for path in odd_photos.iterdir())
    monkeypatch.setattr("sys.argv", ["predict.py", *paths])
    runpy.run_path(str(exported.folder / "predict.py"), run_name="__main__")
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    answers = {answer["photo"]: answer["top"] for answer in exported.proof.as_dict(CLASSES)["answers"]}
    assert len(lines) == len(paths)
    for path, label, probability, note in lines:
        name = path.rsplit("/", 1)[1]
        if name == "damaged.jpg":
            assert note.startswith("unreadable")
            continue
        assert label == max(answers[name], key=answers[name].get), name
        assert float(probability) == pytest.approx(answers[name][label], abs=1e-3), name


def test_a_proof_can_be_repeated(exported, odd_photos, tmp_path):
    again = repeat_proof(exported.file, odd_photos, QuietScreen())
    assert again["compared"] == len(exported.proof.comparisons)
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    model = onnx.load(copy / "model.onnx")
    bias = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [3])
    bias.CopyFrom(onnx.numpy_helper.from_array(np.array([9, -9, 0], np.float32), bias.name))
    onnx.save(model, copy / "model.onnx")
    with pytest.raises(ProofError, match="answers differently from regraft predict"):
        repeat_proof(copy / "model.onnx", odd_photos, QuietScreen())


def test_a_file_that_answers_differently_is_not_written(model_file, odd_photos, tmp_path, monkeypatch):
    def another(job, place):
        wrong = formats.write_format("onnx", job, place)
        return formats.Written(wrong.name, "", lambda photo: wrong.classify(photo[:, ::-1].copy()), job.predictor)

    monkeypatch.setitem(formats._WRITERS, "openvino", another)
    with pytest.raises(ProofError, match=r"model.onnx answers differently.*\n  .*by predict.*by the file"):
        export_model(model_file, tmp_path / "out", format="openvino", photos=odd_photos)
    assert list(tmp_path.iterdir()) == []


def test_without_photos_images_are_generated(model_file, tmp_path):
    proof = export_model(model_file, tmp_path / "out").proof
    assert proof.photos == "generated images"
    assert proof.passed


def test_photos_of_the_run_are_used(tmp_path, tiny):
    from making import make_photos

    photos = make_photos(tmp_path / "photos", {"a": 12, "b": 12})
    run = rg.train(photos, recipe="linear-probe", out=tmp_path / "run", **tiny)
    made = export_model(run.folder, format="onnx")
    assert made.folder == tmp_path / "run" / "export" / "onnx"
    assert made.proof.photos == "photos of the run"
    assert len(made.proof.comparisons) == 24
    card = (made.folder / "README.md").read_text()
    assert re.search(r"\d+\.\d %.* of \d+ photos", card)


def test_views_that_depend_on_the_bytes_are_named(tmp_path):
    classifier = tiny_classifier()
    classifier.facts["views"] = "4"
    classifier.save(tmp_path / "model.safetensors")
    made = export_model(tmp_path / "model.safetensors")
    assert made.notes[0].startswith("the run averages 4 views of a photo, the file averages 2")
    assert made.proof.passed


def test_an_export_replaces_an_earlier_one_but_no_other_files(model_file, tmp_path):
    out = tmp_path / "out"
    export_model(model_file, out)
    export_model(model_file, out, input="tensor")
    assert not (out / "predict.py").exists()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"files that regraft export did not write, such as notes\.txt"):
        export_model(model_file, out)
    assert (out / "notes.txt").read_text() == "mine"


def test_weights_of_the_user_are_not_an_earlier_export(model_file, tmp_path):
    shutil.copy(model_file, tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match=r"such as model\.safetensors\n  name a new folder with -o"):
        export_model(model_file, tmp_path)


def test_a_proof_without_photos_is_none():
    with pytest.raises(ProofError, match="no photo could be compared"):
        Proof("nothing", ()).check("model.onnx", CLASSES)


@pytest.mark.slow  # it compiles a graph of any size for each size
def test_openvino_answers_alike(model_file, odd_photos, tmp_path):
    pytest.importorskip("openvino")
    few = tmp_path / "few"
    few.mkdir()
    for name in ("tall.png", "large.jpg", "pixel.bmp"):
        shutil.copy(odd_photos / name, few)
    made = export_model(model_file, tmp_path / "out", format="openvino", photos=few)
    assert (len(made.proof.comparisons), made.proof.passed) == (3, True)
    assert ExportedFile(made.file).classes == tuple(CLASSES)


def test_timm_loads_the_folder(odd_photos, tmp_path):
    tiny_classifier(bounds=False).save(tmp_path / "model.safetensors")
    made = export_model(tmp_path / "model.safetensors", format="timm", photos=odd_photos)
    assert made.proof.largest_difference < 1e-5
    assert made.notes == ()
    from huggingface_hub import ModelCard

    card = ModelCard.load(made.folder / "README.md")
    assert card.data.library_name == "timm"
    assert card.data.pipeline_tag == "image-classification"


def test_timm_cannot_clip_and_the_folder_says_so(model_file, odd_photos, tmp_path):
    made = export_model(model_file, tmp_path / "out", format="timm", photos=odd_photos)
    assert "cannot clip features" in made.notes[0]
    assert made.notes[0] in (made.folder / "README.md").read_text()


def test_timm_has_no_ensemble(tmp_path):
    rg.Ensemble([tiny_classifier(), tiny_classifier(seed=1)]).save(tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match="no network for 2 classifiers side by side"):
        export_model(tmp_path / "model.safetensors", format="timm")


def test_the_page_needs_its_runtime(model_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"needs the npm package onnxruntime-web.*\n  npm install onnxruntime-web"):
        export_model(model_file, tmp_path / "out", format="web")


def test_other_inputs_have_no_page(model_file, tmp_path):
    with pytest.raises(ConfigError, match="--input tensor does not apply to --format web; expected photo"):
        export_model(model_file, tmp_path / "out", format="web", input="tensor")


def test_the_certified_threshold_is_in_the_file(tmp_path, odd_photos):
    from regraft.data.decode import read_photo

    classifier = tiny_classifier()
    classifier.facts |= {"reject_below": "0.99999", "max_error": "0.02"}
    classifier.save(tmp_path / "model.safetensors")
    made = export_model(tmp_path / "model.safetensors", photos=odd_photos)
    photo = np.array(read_photo(odd_photos / "large.jpg"))
    import onnxruntime

    session = onnxruntime.InferenceSession(str(made.file))
    assert session.run(["unsure"], {"photo": photo})[0]
    assert rg.Predictor.load(tmp_path / "model.safetensors").predict(odd_photos / "large.jpg").unsure


@pytest.mark.parametrize(
    ("top", "message"),
    [({"cat": 0.9}, "has no class 'cat', which its proof.json names"), ({}, "is damaged: a photo has no classes")],
)
def test_a_proof_of_another_file_is_refused(exported, odd_photos, tmp_path, top, message):
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    proof = json.loads((copy / "proof.json").read_text())
    (copy / "proof.json").write_text(json.dumps({**proof, "answers": [{**proof["answers"][0], "top": top}]}))
    with pytest.raises(ModelFileError, match=message):
        repeat_proof(copy / "model.onnx", odd_photos, QuietScreen())
