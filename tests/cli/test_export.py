"""`regraft export`: its results on the screen and as JSON, and its mistakes."""

from __future__ import annotations

import json

import pytest

from exported_models import model_file, odd_photos
from regraft.cli.main import call

__all__ = ["model_file", "odd_photos"]


@pytest.fixture
def one(model_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return str(model_file)


def test_the_folder_and_the_proof_are_said(one, odd_photos, capsys):
    assert call(["export", one, "-o", "out", "--photos", str(odd_photos)]) == 0
    said = capsys.readouterr().out
    assert "out/model.onnx · " in said
    assert "the same class as regraft predict for all " in said
    for file in ("out/model.onnx", "out"):
        assert call(["export", "--prove", file, str(odd_photos)]) == 0
        assert "the same class for all " in capsys.readouterr().out


def test_json(one, capsys):
    assert call(["export", one, "-o", "out", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["proof"]["photos"] == "generated images"
    assert said["file"] == "out/model.onnx"


def test_quiet_prints_the_folder(one, capsys):
    assert call(["export", one, "-o", "out", "-q"]) == 0
    assert capsys.readouterr().out == "out\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["MODEL", "--runtime", "there"], "--runtime applies only with --format web"),
        (["--prove", "gone.onnx", "."], "no such file: gone.onnx"),
        (["--prove", "gone.onnx", ".", "-o", "out"], "--out applies only with a new export"),
        (["MODEL", "--format", "onx"], "Did you mean 'onnx'?"),
        (["MODEL", "--photos", "gone"], "no such folder of photos: gone"),
        (["gone"], "no such run folder or model file: gone"),
        ([], "Missing argument 'MODEL'"),
        (["--prove", "out/model.onnx"], "--prove FILE needs the folder of photos to compare on: regraft export"),
    ],
)
def test_mistakes(one, arguments, message, capsys):
    assert call(["export", *(one if part == "MODEL" else part for part in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_a_file_of_others_is_named(one, tmp_path, capsys):
    (tmp_path / "other.onnx").write_bytes(b"not a model")
    assert call(["export", "--prove", "other.onnx", "."]) == 2
    assert "other.onnx cannot be used" in capsys.readouterr().err
