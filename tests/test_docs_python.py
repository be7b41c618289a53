"""docs/python.md: its code runs as one script, and its signatures are those of the code.

python tests/test_docs_python.py     writes the signatures
"""

from __future__ import annotations

import operator
import re
import shutil
from pathlib import Path

import pytest

import regraft
from making import make_photos
from signatures import SIGNATURE, regenerated

PAGE = Path(__file__).resolve().parents[1] / "docs" / "python.md"
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def find(name):
    return operator.attrgetter(name)(regraft)


def text():
    return PAGE.read_text(encoding="utf-8")


def test_signatures_are_those_of_the_code():
    assert text() == regenerated(text(), find), "run: python tests/test_docs_python.py"
    assert len(SIGNATURE.findall(text())) == 21


def test_every_class_of_a_training_by_hand_is_there():
    titles = set(re.findall(r"^### (\w+)$", text(), re.MULTILINE))
    assert {
        "build_backbone",
        "Backbone",
        "Classifier",
        "ImageFolder",
        "Augmentation",
        "Preprocessing",
        "Predictor",
    } <= titles


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_code_runs_as_one_script(tmp_path, monkeypatch, capsys):
    photos = make_photos(tmp_path / "photos", {"ant": 16, "bee": 16, "fly": 16}, noise=20.0)
    shutil.copy(photos / "ant" / "photo 000.png", tmp_path / "new.jpg")
    monkeypatch.chdir(tmp_path)
    blocks = CODE.findall(text())
    assert len(blocks) == 11
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    said = capsys.readouterr().out
    assert "the photos are not prepared as the Classifier needs them" in said
    found = re.findall(r"Prediction\(path='new.jpg', label='(\w+)'", said)
    assert len(found) == 4
    assert set(found) <= {"ant", "bee", "fly"}
    assert {"model.safetensors", "best.safetensors"} <= {path.name for path in tmp_path.iterdir()}


def test_the_readme_and_the_callbacks_lead_there():
    root = PAGE.parents[1]
    assert "docs/python.md" in (root / "README.md").read_text(encoding="utf-8")
    assert "(python.md" in (root / "docs" / "callbacks.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    PAGE.write_text(regenerated(text(), find), encoding="utf-8")
