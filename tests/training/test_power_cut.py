"""A power cut at any instant leaves nothing that a training could not start from; it ends with the same weights."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from power_cut import Recorder, power_cuts
from regraft.callbacks import Callback, CSVLogger, ModelCheckpoint, TensorBoard
from regraft.training import Snapshots, Trainer

COUNT = int(os.environ.get("REGRAFT_POWER_CUTS", "10"))
"""States that are tried of each training."""


class Killed(Exception):
    pass


class Kill(Callback):
    def __init__(self, at: int | None) -> None:
        super().__init__()
        self.left = at

    def state_dict(self) -> dict[str, Any]:
        return {}

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.left == 0:
            raise Killed
        self.left = None if self.left is None else self.left - 1


def fit(folder: Path, seed: int, kill_at: int | None = None) -> dict[str, Any]:
    """Train for three epochs of three batches, or go on; return what must not depend on any interruption."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 2))
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(24, 6, generator=draw)
    trainer = Trainer(module, "adam", "cross_entropy", ["accuracy"])
    callbacks = [
        CSVLogger(folder / "log.csv"),
        TensorBoard(folder / "board", write_graph=False, update_freq="batch"),
        ModelCheckpoint(folder / "best.safetensors", "loss", save_best_only=True),
        ModelCheckpoint(folder / "last.h5"),
        Kill(kill_at),
    ]
    history = trainer.fit(
        x,
        (x[:, 0] > 0).long(),
        batch_size=8,
        epochs=3,
        verbose=0,
        callbacks=callbacks,
        resume=Snapshots(folder / "a" / "resume", every=1e-9),
    )
    with (folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        "weights": {name: value.tolist() for name, value in module.state_dict().items()},
        "history": history.history,
        "best": (folder / "best.safetensors").read_bytes(),
        "log": rows,
        "events": events(folder / "board" / "train"),
    }


def events(folder: Path) -> list[tuple[int, str, float]]:
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    found = [event for path in folder.iterdir() for event in LegacyEventFileLoader(str(path)).Load()]
    return sorted((e.step, value.tag, value.simple_value) for e in found for value in e.summary.value)


@pytest.mark.parametrize("killed", [None, 4])
def test_a_training_starts_from_any_state(killed: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "whole").mkdir()
    expected = fit(tmp_path / "whole", 1)
    folder = tmp_path / "recorded"
    folder.mkdir()
    if killed is not None:
        with pytest.raises(Killed):
            fit(folder, 1, killed)
    finished: list[tuple[int, int]] = [(0, 0)]
    write = Snapshots._write

    def watched(self: Snapshots, *arguments: Any) -> None:
        write(self, *arguments)
        finished.append((len(recorder.moments), int(arguments[3]["sequence"])))

    with monkeypatch.context() as patched, Recorder(folder) as recorder:
        patched.setattr(Snapshots, "_write", watched)
        fit(folder, 99 if killed else 1)
    assert len(recorder.moments) > 100
    last = 0
    for instant, state in power_cuts(recorder, tmp_path / "states", COUNT, seed=killed or 0):
        snapshots = Snapshots(state / "a" / "resume")
        begun = snapshots.newest() is not None
        last = snapshots._sequence
        assert last >= max(number for moment, number in finished if moment <= instant), "a finished snapshot is lost"
        assert fit(state, 99 if begun else 1) == expected, (instant, state)
    assert last > 5
