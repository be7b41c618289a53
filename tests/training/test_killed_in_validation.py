"""A training that is killed while it validates goes on with that validation, and ends as if it had not been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from regraft.callbacks import Callback, EarlyStopping
from regraft.training import Snapshots, Trainer


class Killed(Exception):
    pass


class KillInValidation(Callback):
    def __init__(self, at: int | None) -> None:
        super().__init__()
        self.at, self.seen = at, 0

    def state_dict(self) -> dict[str, Any]:
        return {}

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.seen == self.at:
            raise Killed
        self.seen += 1


def fit(folder: Path, kind: str, seed: int, at: int | None, **more: Any) -> dict[str, Any]:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 2))
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    loader = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True)
    trainer = Trainer(module, "adam", "cross_entropy", ["accuracy"])
    data: dict[str, Any] = {"x": x, "y": y, "batch_size": 8} if kind == "arrays" else {"x": loader}
    history = trainer.fit(
        **data,
        epochs=4,
        verbose=0,
        validation_data=DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True),  # draws from the global generator
        callbacks=[EarlyStopping("val_loss", patience=9, restore_best_weights=True), KillInValidation(at)],
        resume=Snapshots(folder, every=1e-9),
        **more,
    )
    return {"weights": {n: v.tolist() for n, v in module.state_dict().items()}, "history": history.history}


@pytest.mark.parametrize("kind", ["arrays", "loader"])
@pytest.mark.parametrize("steps", [None, 3, 5])
def test_killed_in_validation(kind: str, steps: int | None, tmp_path: Path) -> None:
    expected = fit(tmp_path / "whole", kind, 1, None, steps_per_epoch=steps)
    for number, at in enumerate((0, 2, 8)):
        with pytest.raises(Killed):
            fit(tmp_path / "killed", kind, 1 if number == 0 else 99, at, steps_per_epoch=steps)
    assert fit(tmp_path / "killed", kind, 98, None, steps_per_epoch=steps) == expected
