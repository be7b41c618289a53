"""The proof in a browser: the exported page answers as `regraft predict` does, from a file, without a network."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from chromium import chromium, page, wait_until
from conftest import REPOSITORY
from exported_models import CLASSES, model_file, odd_photos
from odd_pictures import odd_colors, odd_pngs, unreadable
from regraft.data.decode import read_photo
from regraft.export.export_folder import export_model
from regraft.inference.predictor import Predictor
from turned_files import turned_files

__all__ = ["chromium", "model_file", "odd_photos", "page"]

RUNTIME = REPOSITORY / ".web" / "node_modules" / "onnxruntime-web"

LEVELS = {
    "large.jpg": 3,
    "wide.jpg": 1,
    "wide.png": 1,
    "wide.webp": 1,
    "wide clear.png": 1,
    "clear.webp": 1,
    "clear lossy.webp": 1,
    "clear.avif": 24,
}
"""Largest difference of a pixel, of 255, where a browser decodes in its own way: reduced JPEG files, color profiles,
and transparency. All other files have equal pixels."""

CLASSIFY = """async ([data, name]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const { probabilities, photo } = await window.regraft.classifyFile(new File([bytes], name));
  const { pixels, width, height } = photo;
  let text = "";
  for (let k = 0; k < pixels.length; k += 30000) text += String.fromCharCode(...pixels.subarray(k, k + 30000));
  return { probabilities, width, height, pixels: btoa(text) };
}"""


@pytest.fixture(scope="module")
def exported(model_file, odd_photos, tmp_path_factory):
    if not RUNTIME.is_dir():
        pytest.skip(f"no ONNX Runtime Web in {RUNTIME}: sh scripts/install_web_runtime.sh")
    out = tmp_path_factory.mktemp("out") / "web"
    return export_model(model_file, out, format="web", photos=odd_photos, runtime=RUNTIME)


def classified(page, name, data):
    """Return the probabilities and the pixels of a file in the page."""
    found = page.evaluate(CLASSIFY, [base64.b64encode(data).decode(), name])
    pixels = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8)
    return found["probabilities"], pixels.reshape(found["height"], found["width"], 3)


@pytest.mark.slow  # a page of 20 MB in a browser
def test_the_page_answers_as_predict_does(page, exported, odd_photos):
    page.context.set_offline(True)
    page.goto(exported.file.as_uri())
    answers = {answer.name: answer.expected for answer in exported.proof.comparisons}
    assert len(answers) > 15
    for path in sorted(odd_photos.iterdir()):
        if path.name == "damaged.jpg":
            continue
        found, _ = classified(page, path.name, path.read_bytes())
        assert len(found) == len(CLASSES)
        assert found == pytest.approx(list(answers[path.name]), abs=1e-3), path.name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_the_page_reads_odd_files_as_regraft_does(page, exported, model_file):
    page.goto(exported.file.as_uri())
    predictor = Predictor.load(model_file)
    at_least = predictor.classifier.preprocessing.at_least
    files = turned_files() | odd_pngs() | odd_colors()
    assert len(files) > 240
    for name, data in files.items():
        probabilities, pixels = classified(page, name, data)
        expected = np.asarray(read_photo(data, at_least=at_least))
        assert pixels.shape == expected.shape, name
        assert np.abs(pixels.astype(int) - expected).max() <= LEVELS.get(name, 0), name
        answer = dict(predictor.predict(data).top)
        tolerance = 1e-4 if name not in LEVELS else 1e-3 if LEVELS[name] < 4 else 2e-2
        assert probabilities == pytest.approx([answer[label] for label in CLASSES], abs=tolerance), name


@pytest.mark.slow
def test_the_page_refuses_what_predict_refuses(page, exported, model_file):
    page.goto(exported.file.as_uri())
    predictor = Predictor.load(model_file)
    for name, data in unreadable().items():
        assert predictor.predict(data).error, name
        page.set_input_files("#files", {"name": name, "mimeType": "image/jpeg", "buffer": data})
        wait_until(page, "(name) => document.getElementById('status').textContent.startsWith(name)", name)
        assert f"{name} cannot be read: " in page.locator("#status").text_content()
    assert page.locator(".answer").count() == 0


@pytest.mark.slow
def test_names_of_classes_are_only_text(page, tmp_path):
    from exported_models import tiny_classifier

    if not RUNTIME.is_dir():
        pytest.skip(f"no ONNX Runtime Web in {RUNTIME}: sh scripts/install_web_runtime.sh")
    names = ["</script><img src=x onerror=alert(1)>", 'a "b", & <b>', "ants\u2028\u202e\nbees"]
    classifier = tiny_classifier()
    classifier.classes = names
    classifier.save(tmp_path / "model.safetensors")
    made = export_model(tmp_path / "model.safetensors", format="web", runtime=RUNTIME)
    page.goto(made.file.as_uri())
    _, data = next(iter(odd_colors().items()))
    found = page.evaluate(CLASSIFY, [base64.b64encode(data).decode(), "<i>x</i>.jpg"])
    assert len(found["probabilities"]) == 3
    page.set_input_files("#files", {"name": "<i>x</i>.jpg", "mimeType": "image/jpeg", "buffer": data})
    page.wait_for_selector(".answer")
    assert sorted(page.locator(".answer dt").all_text_contents()) == sorted(names)
    assert page.locator("main img, main i").count() == 0
