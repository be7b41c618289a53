"""The early end of a fine-tuning of `auto`: fed with figures of epochs, without any training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from regraft.recipes.steps.no_gain_end import REASON, Baseline, NoGainEnd
from regraft.recipes.steps.trainers import LABEL_SMOOTHING, smoothed_floor

BASELINE = Baseline(accuracy=0.9, log_loss=0.3)
BEHIND = (0.9, 0.5)
"""Accuracy and log-loss of an epoch that is behind the baseline."""


class Decisions:
    """Choices without a folder."""

    def __init__(self, replay: dict[str, Any] | None = None) -> None:
        self.replay = replay or {}
        self.choices: dict[str, Any] = {}

    def choose(self, name: str, why: str, make: Any) -> Any:
        self.choices[name] = make()


def epochs_trained(figures: list[tuple[float, float]], decisions: Decisions, floor: float = 0.0) -> int:
    """Return the epoch after which the training ended."""
    reasons: list[str] = []
    callback = NoGainEnd(decisions, "upper 4 blocks", len(figures), BASELINE, floor=floor)  # type: ignore[arg-type]
    callback.set_model(SimpleNamespace(stop=reasons.append))
    for epoch, (accuracy, loss) in enumerate(figures):
        callback.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
        if reasons:
            assert reasons == [f"NoGainEnd: {REASON}"]
            return epoch + 1
    return len(figures)


def test_a_training_behind_the_baseline_ends_after_a_third_of_its_epochs() -> None:
    decisions = Decisions()
    assert epochs_trained([BEHIND] * 9, decisions) == 3
    assert decisions.choices == {"epochs without a gain, upper 4 blocks": 3}


def test_one_epoch_with_a_better_accuracy_or_a_near_log_loss_is_enough_to_continue() -> None:
    assert epochs_trained([(0.91, 0.5), *[BEHIND] * 8], Decisions()) == 9
    assert epochs_trained([(0.8, 0.42), *[BEHIND] * 8], Decisions()) == 9


def test_what_smoothed_labels_add_to_the_loss_is_not_behind() -> None:
    """With ten classes they add half a nat: a network as good as the baseline has a loss of 0.8."""
    label = torch.full((1, 10), 0.01).index_fill_(1, torch.tensor([3]), 0.91)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)(label.log(), torch.tensor([3]))
    assert smoothed_floor(10) == pytest.approx(float(loss), abs=1e-6)
    assert epochs_trained([(0.89, 0.8)] * 9, Decisions(), smoothed_floor(10)) == 9
    assert epochs_trained([(0.89, 1.0)] * 9, Decisions(), smoothed_floor(10)) == 3


def test_the_end_is_replayed() -> None:
    name = "epochs without a gain, upper 4 blocks"
    assert epochs_trained([BEHIND] * 9, Decisions({name: 5})) == 5


def test_without_validation_figures_a_training_continues() -> None:
    callback = NoGainEnd(Decisions(), "all blocks", 3, BASELINE)  # type: ignore[arg-type]
    stopped: list[str] = []
    callback.set_model(SimpleNamespace(stop=stopped.append))
    for epoch in range(3):
        callback.on_epoch_end(epoch, {"loss": 1.0})
    assert not stopped
