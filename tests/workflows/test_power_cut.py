"""A power cut at any instant of `regraft train` leaves nothing that the same command could not start from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from making import make_photos
from power_cut import Recorder, power_cuts
from regraft.screen import QuietScreen
from regraft.workflows.train import train

COUNT = int(os.environ.get("REGRAFT_POWER_CUTS", "6"))
"""States that are tried of each way to name the place."""


@pytest.mark.slow
@pytest.mark.parametrize("out", [None, "deep/mine"])
def test_the_same_command_starts_from_any_state(
    out: str | None, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_photos(tmp_path / "photos", {"ant": 16, "bee": 16})
    more = {"recipe": "fine-tune", "epochs": 2, "batch_size": 8, "snapshot_every": "0.001s", "tensorboard": True}
    options: dict[str, Any] = {**tiny, **more, "out": out, "workers": 1}

    def result() -> tuple[bytes, bytes, bytes]:
        run = train(photos, screen=QuietScreen(), **options)
        assert not (run.folder / "resume").exists()
        return tuple(
            (run.folder / name).read_bytes() for name in ("model.safetensors", "history.csv", "predictions.csv")
        )  # type: ignore[return-value]

    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    with Recorder(work) as recorder:
        expected = result()
    assert len(recorder.moments) > 100
    for instant, state in power_cuts(recorder, tmp_path / "states", COUNT, seed=1):
        monkeypatch.chdir(state)
        assert result() == expected, (instant, state)
