"""A ``mode`` that contradicts the metric: the epoch with the lowest accuracy would be saved as the best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regraft.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau


@pytest.mark.parametrize(("monitor", "mode"), [("val_accuracy", "min"), ("accuracy", "min"), ("val_loss", "max")])
def test_a_mode_against_the_metric_is_warned_about(
    make_trainer: Any, points: Any, said: Any, tmp_path: Path, monitor: str, mode: Any
) -> None:
    best = ModelCheckpoint(tmp_path / "best.pt", monitor, mode=mode, save_best_only=True)
    for callback in (EarlyStopping(monitor, mode=mode), ReduceLROnPlateau(monitor, mode=mode), best):
        said.warnings.clear()
        make_trainer().fit(*points, validation_split=0.2, verbose=0, callbacks=[callback])
        assert len(said.warnings) == 1
        assert f"mode is {mode!r}" in said.warnings[0]
        assert "the worst epoch counts as the best" in said.warnings[0]


def test_a_mode_that_suits_the_metric_is_not(make_trainer: Any, points: Any, said: Any, tmp_path: Path) -> None:
    callbacks = [
        EarlyStopping("val_accuracy", mode="max"),
        ReduceLROnPlateau("val_loss", mode="min"),
        ModelCheckpoint(tmp_path / "a.pt", "val_accuracy", mode="min"),  # it saves every epoch
    ]
    make_trainer().fit(*points, validation_split=0.2, verbose=0, callbacks=callbacks)
    assert said.warnings == []
