"""Copies of a `Trainer`: pickled and deep, before and after `fit`, and from inside a hook."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from regraft.callbacks import EarlyStopping, LambdaCallback, ReduceLROnPlateau
from regraft.training import Trainer


def spread(y_true: Any, y_pred: Any) -> Any:
    return (y_true - y_pred).abs()


def error(output: Any, target: Any) -> Any:
    return (output - target).square().mean()


KINDS: dict[str, dict[str, Any]] = {
    "names": {"optimizer": "adam", "loss": "mse", "metrics": ["mae", "r2_score"], "ema": 0.9},
    "functions": {"optimizer": torch.optim.AdamW, "loss": error, "metrics": [spread, error, nn.functional.l1_loss]},
    "modules": {"optimizer": "sgd", "loss": nn.HuberLoss(), "metrics": [("x", "mse")], "accumulate": 2},
}


def made(kind: str) -> Trainer:
    torch.manual_seed(0)
    return Trainer(nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 1)), **KINDS[kind])


@pytest.fixture
def data(points: Any) -> tuple[torch.Tensor, torch.Tensor]:
    x = points[0]
    return x, x.sum(1, keepdim=True)


COPIES: dict[str, Callable[[Any], Any]] = {"pickle": lambda t: pickle.loads(pickle.dumps(t)), "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_trains_as_the_original(data: Any, how: str, kind: str) -> None:
    trainer = made(kind)
    untrained = COPIES[how](trainer)
    callbacks = [EarlyStopping("loss", patience=5), ReduceLROnPlateau("loss", patience=1)]
    trainer.fit(*data, epochs=2, verbose=0, callbacks=callbacks)
    other = COPIES[how](trainer)
    weights = [np.array(w) for w in trainer.get_weights()]
    found = other.fit(*data, epochs=2, verbose=0).history
    assert all(np.array_equal(a, b) for a, b in zip(weights, trainer.get_weights(), strict=True))
    assert other.optimizer.param_groups[0]["params"][0] is next(other.module.parameters())
    assert found == trainer.fit(*data, epochs=2, verbose=0).history
    assert untrained.fit(*data, verbose=0).history == made(kind).fit(*data, verbose=0).history


def test_a_history_can_be_pickled(data: Any) -> None:
    history = made("names").fit(*data, epochs=2, verbose=0)
    again = pickle.loads(pickle.dumps(history))
    assert again.history == history.history
    assert again.epoch == [0, 1]


def test_a_copy_inside_a_hook_is_not_running(data: Any) -> None:
    """A callback keeps the best model as a deep copy, as many do."""
    trainer, kept = made("names"), []
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(copy.deepcopy(trainer)))
    trainer.fit(*data, epochs=2, verbose=0, callbacks=[keep])
    assert not kept[0].fitting
    assert kept[0].evaluate(*data, verbose=0) != kept[1].evaluate(*data, verbose=0)
    assert kept[0].fit(*data, epochs=1, verbose=0).epoch == [0]
