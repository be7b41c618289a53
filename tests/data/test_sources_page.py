"""docs/sources.md: its Python runs, and it names the extras and the schemes that there are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from making import make_photos
from regraft.data.archives.address import SCHEMES

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_code_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    make_photos(tmp_path / "photos", {"ant": 8, "bee": 8}, noise=20.0)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(code, "docs/sources.md", "exec"), {})
    assert "('ant', 'bee') 16" in capsys.readouterr().out


def test_extras_and_schemes_are_there():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = set(re.findall(r"'regraft\[(\w+)\]'", TEXT))
    assert named == {"s3", "gs", "parquet"}
    assert named <= set(extras)
    listed = re.search(r"other schemes \((.*?)\)", TEXT)[1]
    assert set(re.findall(r"`(\w+)`", listed)) <= set(SCHEMES)
