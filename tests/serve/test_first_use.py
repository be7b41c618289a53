"""The first call of `regraft serve`: mistakes that a newcomer makes, each told in one message."""

from __future__ import annotations

import sys

import pytest

from regraft.cli.main import call
from serve.conftest import photo


def test_a_missing_package_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "regraft.serve.run_server", None)  # as if starlette were missing
    assert call(["serve", "runs/photos-001"]) == 2
    assert capsys.readouterr().err == (
        "regraft: predictions over HTTP need an optional package: pip install 'regraft[serve]'\n"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photos", "photos contains no model.safetensors: it is not a run folder"),
        ("new.jpg", "new.jpg is a photo; expected a run folder or a model.safetensors"),
        ("model.onnx", "model.onnx is an exported file for other programs; expected a run folder"),
    ],
)
def test_something_else_than_a_model_is_told_by_its_kind(tmp_path, monkeypatch, capsys, name, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "new.jpg").write_bytes(photo())
    (tmp_path / "model.onnx").touch()
    assert call(["serve", name, "--port", "0"]) == 2
    assert expected in capsys.readouterr().err
