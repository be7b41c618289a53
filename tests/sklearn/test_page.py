"""docs/scikit-learn.md: its code runs as one script."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the extra sklearn is not installed")

from making import make_photos

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scikit-learn.md"
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.slow
def test_the_code_runs_as_one_script(tmp_path, monkeypatch, capsys):
    make_photos(tmp_path / "photos", {"ant": 8, "bee": 8}, noise=20.0)
    monkeypatch.chdir(tmp_path)
    blocks = CODE.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert "['ant' 'bee']" in capsys.readouterr().out
    assert {"classifier.joblib", "model.safetensors"} <= {path.name for path in tmp_path.iterdir()}


def test_the_expected_failures_are_those_of_the_page():
    from regraft.sklearn import __all__ as estimators

    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"except `(check_\w+)`", text) == ["check_sample_weight_equivalence_on_dense_data"]
    assert all(f"`{name}`" in text for name in estimators)
