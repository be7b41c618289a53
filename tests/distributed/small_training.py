"""A training of a small network with all that may differ between processes, run by `torchrun` in the tests.

Arguments: a JSON object of options. It writes the weights, the history and the rank to ``OUT/RANK.json``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regraft.callbacks import Callback, EarlyStopping, SwapEMAWeights
from regraft.tensors import tensors_checksum
from regraft.training import Trainer


class Net(nn.Module):
    """Convolution, trained batch normalization, dropout, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.conv(x).relu()).mean((2, 3))
        out: torch.Tensor = self.head(self.drop(y))
        return out


class Ranks(Callback):
    """Counts the epochs that this process sees, and evaluates inside a hook."""

    def __init__(self, data: tuple[torch.Tensor, torch.Tensor], *, every: bool) -> None:
        super().__init__()
        self.every_rank, self.data, self.losses = every, data, list[float]()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.losses.append(self.model.evaluate(*self.data, verbose=0, return_dict=True)["loss"])


class SlowDown(Callback):
    """Halves the learning rate before each batch of the second epoch."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.model.epoch == 1:
            self.model.optimizer.learning_rate = 0.01 / (batch + 1)


class KillSelf(Callback):
    """Kills this process before a batch, once."""

    every_rank = True

    def __init__(self, at: list[int], mark: Path) -> None:
        super().__init__()
        self.at, self.mark, self.seen = at, mark, 0

    def state_dict(self) -> dict[str, Any]:
        return {}

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if [int(os.environ.get("RANK", "0")), self.model.epoch, batch] == self.at and not self.mark.exists():
            self.mark.write_text("killed")
            os.kill(os.getpid(), 9)


def photos() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    y = torch.randint(0, 3, (70,), generator=draw)
    return torch.randn(70, 3, 9, 9, generator=draw) + y.view(-1, 1, 1, 1) / 2, y


def train(options: dict[str, Any]) -> dict[str, Any]:
    torch.manual_seed(0)
    x, y = photos()
    trainer = Trainer(Net(), "adam", "cross_entropy", ["accuracy"], learning_rate=0.02, **options.get("trainer", {}))
    every = Ranks((x[:20], y[:20]), every=True)
    lead = Ranks((x[:20], y[:20]), every=False)
    callbacks: list[Any] = [EarlyStopping("val_loss", patience=1, restore_best_weights=True), SlowDown(), every, lead]
    if options.get("average"):
        callbacks.append(SwapEMAWeights(swap_on_epoch=True))
    if "kill" in options:
        callbacks.append(KillSelf(options["kill"], Path(options["out"]) / "killed"))
    from regraft.training import Snapshots

    history = trainer.fit(
        x, y, batch_size=20, epochs=options.get("epochs", 4), validation_data=(x[:33], y[:33]), verbose=0,
        class_weight={0: 2.0}, callbacks=callbacks,
        resume=Snapshots(options["resume"], every=1e-9) if "resume" in options else None,
    )  # fmt: skip
    return {
        "weights": tensors_checksum(trainer.module.state_dict()),
        "history": history.history,
        "stopped": history.stop_reason,
        "losses": lead.losses,
        "every": every.losses,
    }


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    result = train(given)
    rank = os.environ.get("RANK", "0")
    (Path(given["out"]) / f"{rank}.json").write_text(json.dumps(result))
