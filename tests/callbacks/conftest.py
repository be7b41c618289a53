"""What the tests of callbacks share: Keras as the oracle, and a model that only records what is done to it."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

SHORT = "keras is not installed; it is part of the dev extra: pip install 'regraft[dev]'"


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras 3 on its torch backend."""
    os.environ["KERAS_BACKEND"] = "torch"
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
