"""What the tests of callbacks share: Keras as the oracle, and a model that only records what is done to it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from regraft.screen import QuietScreen
from regraft.training import Trainer

SHORT = "keras is not installed; it is part of the dev extra: pip install 'regraft[dev]'"


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras 3 on its torch backend."""
    return pytest.importorskip("keras", reason=SHORT)


class Recorder:
    """A model without a network: callbacks of Keras and of regraft can do to it what they do to a model."""

    def __init__(self, rate: float = 0.1) -> None:
        self.optimizer = SimpleNamespace(learning_rate=rate, iterations=0)
        self.stop_training = False
        self.weights = 0
        self.metrics: list[Any] = []
        self.done: list[tuple[Any, ...]] = []

    def get_weights(self) -> int:
        return self.weights

    def set_weights(self, weights: int) -> None:
        self.done.append(("set_weights", weights))

    def save(self, path: str, overwrite: bool = True) -> None:
        self.done.append(("save", str(path)))

    def save_weights(self, path: str, overwrite: bool = True) -> None:
        self.done.append(("save_weights", str(path)))


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def points() -> tuple[torch.Tensor, torch.Tensor]:
    """120 points (120, 8) of three classes (120,)."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(120, 8, generator=draw)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()


class Said:
    """A screen that remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def line(self, label: str, text: str, note: str = "") -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, label: str, total: int, unit: str = "photos") -> Any:
        return QuietScreen().progress(label, total, unit)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def make_trainer(said: Said) -> Any:
    """Makes trainers of a small network, each with the same weights at the start."""

    def make(**options: Any) -> Trainer:
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
        given = {"optimizer": "adam", "loss": "cross_entropy", "metrics": ["accuracy"], "screen": said} | options
        return Trainer(module, **given)

    return make
