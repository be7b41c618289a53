"""The proof in a browser: the exported page answers as `regraft predict` does, from a file, without a network."""

from __future__ import annotations

import base64

import pytest

from chromium import chromium, page
from conftest import REPOSITORY
from exported_models import CLASSES, model_file, odd_photos
from regraft.export.export_folder import export_model

__all__ = ["chromium", "model_file", "odd_photos", "page"]

RUNTIME = REPOSITORY / ".web" / "node_modules" / "onnxruntime-web"
UNLIKE = {"cmyk.jpg", "deep.png", "profile.jpg", "transparent.png", "damaged.jpg"}
"""Photos that a browser decodes in its own way: other profiles, 16 bits, and blending with the ground."""

CLASSIFY = """async ([data, name]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const found = await window.regraft.classifyFile(new File([bytes], name));
  return found.probabilities;
}"""


@pytest.mark.slow  # a page of 20 MB in a browser
def test_the_page_answers_as_predict_does(page, model_file, odd_photos, tmp_path):
    if not RUNTIME.is_dir():
        pytest.skip(f"no ONNX Runtime Web in {RUNTIME}: sh scripts/install_web_runtime.sh")
    made = export_model(model_file, tmp_path / "web", format="web", photos=odd_photos, runtime=RUNTIME)
    page.context.set_offline(True)
    page.goto(made.file.as_uri())
    answers = {answer.name: answer.expected for answer in made.proof.comparisons}
    assert len(answers) > 15
    for path in sorted(odd_photos.iterdir()):
        if path.name in UNLIKE:
            continue
        data = base64.b64encode(path.read_bytes()).decode()
        found = page.evaluate(CLASSIFY, [data, path.name])
        assert len(found) == len(CLASSES)
        assert found == pytest.approx(list(answers[path.name]), abs=1e-3), path.name
