"""Which epoch is kept: the latest that cannot be told from the best."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from regraft.callbacks.keep_latest_best import LatestBest


class Model:
    """Weights that say which epoch they are of."""

    stop_training = False

    def __init__(self) -> None:
        self.epoch = -1.0

    def get_weights(self) -> list[Any]:
        return [np.array([self.epoch])]

    def set_weights(self, weights: list[Any]) -> None:
        self.epoch = float(weights[0][0])

    def stop(self, reason: str) -> None:
        self.stop_training = True


def fit(callback: LatestBest, losses: list[float]) -> Model:
    model = Model()
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        model.epoch = float(epoch)
        callback.on_epoch_end(epoch, {"val_loss": loss})
        if model.stop_training:
            break
    callback.on_train_end()
    return model


@pytest.mark.parametrize(
    ("photos", "losses", "kept"),
    [
        (400, [1.0, 0.700, 0.705], 2),
        (400, [1.0, 0.700, 0.720], 1),
        (40_000, [1.0, 0.700, 0.705], 1),  # many photos tell even such epochs apart
        (400, [1.0, 0.700, 0.705, 0.800], 2),
        (400, [1.0, 0.700, 0.711, 0.722], 2),  # the comparison is with the lowest, not with the last that was kept
        (400, [1.0, 0.700, float("nan")], 1),
        (400, [1.0, 0.700, 0.705, 0.650], 3),
    ],
)
def test_the_latest_epoch_that_is_as_good_as_the_lowest_is_kept(photos: int, losses: list[float], kept: int) -> None:
    callback = LatestBest(photos, patience=len(losses))
    assert fit(callback, losses).epoch == kept == callback.kept_epoch


def test_training_stops_by_the_lowest_loss_alone() -> None:
    callback = LatestBest(400, patience=2)
    model = fit(callback, [0.700, 0.701, 0.702, 0.1])
    assert callback.stopped_epoch == 2 and model.epoch == 2
    assert callback.best == 0.700


def test_what_it_kept_goes_through_a_snapshot() -> None:
    before, after = LatestBest(400, patience=9), LatestBest(400, patience=9)
    fit(before, [1.0, 0.700, 0.705])
    model = Model()
    after.set_model(model)
    after.on_train_begin()
    after.load_state_dict(before.state_dict())
    model.epoch = 3.0
    after.on_epoch_end(3, {"val_loss": 0.9})
    after.on_train_end()
    assert (model.epoch, after.kept_epoch, after.best_epoch) == (2.0, 2, 1)
