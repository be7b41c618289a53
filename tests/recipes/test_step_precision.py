"""The precision of training steps: measured once on a machine, and remembered in a file that notices damage."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from regraft.recipes.steps import step_precision
from regraft.recipes.steps.step_precision import CLEAR_GAIN, measured_step_seconds, precision_for


@pytest.fixture
def timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replace the timing of steps by 1, 2, 3 … seconds."""
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    calls: list[int] = []

    def step_seconds(*_: Any) -> float:
        calls.append(len(calls) + 1)
        return float(calls[-1])

    monkeypatch.setattr(step_precision, "step_seconds", step_seconds)
    return calls


def measure(what: str) -> float:
    return measured_step_seconds(what, SimpleNamespace(), 8)  # type: ignore[arg-type]


def test_a_step_is_timed_once_for_each_network_and_size(timed: list[int], tmp_path: Path) -> None:
    assert [measure("a 224"), measure("a 224"), measure("a 96"), measure("a 224")] == [1.0, 1.0, 2.0, 1.0]
    assert [file.name for file in tmp_path.iterdir()] == ["engines.json"]


def test_a_damaged_file_means_timing_again(timed: list[int], tmp_path: Path) -> None:
    measure("a 224")
    file = tmp_path / "engines.json"
    file.write_text(file.read_text().replace("1.0", "9.0"))
    assert measure("a 224") == 2.0


def test_bf16_must_be_clearly_faster() -> None:
    assert [precision_for(gain) for gain in (0.9, CLEAR_GAIN - 0.01, CLEAR_GAIN)] == ["fp32", "fp32", "bf16"]
