"""Learning rates that change by epoch and by step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from regraft.callbacks import (
    BackupAndRestore,
    Callback,
    LambdaCallback,
    LearningRateScheduler,
    ReduceLROnPlateau,
    StepSchedule,
    TorchScheduler,
    WarmupCosine,
)
from regraft.errors import TrainingError


class Rates(Callback):
    """Notes the rate of every group at every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[float]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append([group["lr"] for group in self.model.optimizer.param_groups])


@pytest.mark.parametrize(
    ("make", "per"),
    [
        (lambda o: lr_scheduler.StepLR(o, 2, 0.5), "epoch"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 5), "epoch"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=20), "batch"),
        (lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, 3), "batch"),
    ],
)
def test_torch_schedulers_step_as_in_a_loop_by_hand(make: Any, per: str, make_trainer: Any, points: Any) -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    scheduler = make(optimizer)
    expected = []
    for _ in range(5):
        for _ in range(4):
            expected.append([optimizer.param_groups[0]["lr"]])
            optimizer.step()
            if per == "batch":
                scheduler.step()
        if per == "epoch":
            scheduler.step()

    trainer, rates = make_trainer(optimizer="sgd", learning_rate=0.1), Rates()
    given = [make(trainer.optimizer.torch), rates]
    callbacks = given if per == "epoch" else given[::-1]
    history = trainer.fit(*points, epochs=5, batch_size=30, verbose=0, callbacks=callbacks).history
    assert rates.seen == expected
    assert len(history["learning_rate"]) == 5


def test_torchs_plateau_scheduler_is_given_the_figure(make_trainer: Any, points: Any) -> None:
    trainer = make_trainer(optimizer="sgd", learning_rate=0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(trainer.optimizer.torch, patience=0, threshold=9.0, factor=0.1)
    with pytest.raises(TrainingError, match="TorchScheduler monitors 'val_loss'"):
        trainer.fit(*points, verbose=0, callbacks=[scheduler])
    given = [TorchScheduler(scheduler, monitor="loss")]
    rates = trainer.fit(*points, epochs=4, verbose=0, callbacks=given).history["learning_rate"]
    assert rates == pytest.approx([0.1, 0.01, 0.001, 0.0001])


def test_a_scheduler_of_another_optimizer_is_refused(make_trainer: Any, points: Any) -> None:
    foreign = lr_scheduler.StepLR(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), 1)
    with pytest.raises(TrainingError, match="StepLR was made for another optimizer"):
        make_trainer().fit(*points, verbose=0, callbacks=[foreign])
    with pytest.raises(TrainingError, match="per is 'step'"):
        TorchScheduler(foreign, per="step")  # type: ignore[arg-type]


@pytest.mark.parametrize("accumulate", [1, 3])
def test_warmup_and_cosine_follow_their_formula(accumulate: int, make_trainer: Any, points: Any) -> None:
    def two(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD([{"params": parameters[:2], "lr": 0.01}, {"params": parameters[2:], "lr": 0.1}])

    trainer, rates = make_trainer(optimizer=two, accumulate=accumulate), Rates()
    trainer.fit(*points, epochs=5, batch_size=30, verbose=0, callbacks=[WarmupCosine(0.2, floor=0.05), rates])
    updates = 5 * math.ceil(4 / accumulate)
    rise = round(0.2 * updates)
    factors = [
        (k + 1) / rise if k < rise else 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (k - rise) / (updates - rise)))
        for k in range(updates)
    ]
    batches = [epoch * math.ceil(4 / accumulate) + i // accumulate for epoch in range(5) for i in range(4)]
    for (low, high), k in zip(rates.seen, batches, strict=True):
        assert (low, high) == pytest.approx((0.01 * factors[k], 0.1 * factors[k]))
        assert high / low == pytest.approx(10)


def test_a_curve_of_ones_own_over_some_steps(make_trainer: Any, points: Any) -> None:
    trainer, rates = make_trainer(optimizer="sgd", learning_rate=0.5), Rates()
    data = ((points[0][:8], points[1][:8]) for _ in range(6))
    trainer.fit(data, verbose=0, callbacks=[StepSchedule(lambda step, steps: step / steps, steps=6), rates])
    assert [r for (r,) in rates.seen] == pytest.approx([0.5 * k / 6 for k in range(6)])
    with pytest.raises(TrainingError, match="the number of batches in an epoch is unknown; pass steps="):
        trainer.fit(iter([]), verbose=0, callbacks=[WarmupCosine()])


def test_wrong_arguments(make_trainer: Any, points: Any) -> None:
    with pytest.raises(TrainingError, match="warmup is -1"):
        WarmupCosine(-1)
    with pytest.raises(TrainingError, match="floor is 2"):
        WarmupCosine(floor=2)
    with pytest.raises(TrainingError, match="the function returned 1 at epoch 0; it must return a float"):
        make_trainer().fit(*points, verbose=0, callbacks=[LearningRateScheduler(lambda epoch: 1)])


def test_a_schedule_of_keras_as_the_rate_is_refused_and_can_be_followed(
    keras: Any, make_trainer: Any, points: Any
) -> None:
    """Keras accepts it, and fails when a callback sets the rate."""
    schedule = keras.optimizers.schedules.PolynomialDecay(initial_learning_rate=0.1, decay_steps=10)
    with pytest.raises(TrainingError, match=r"optimizer='adam' and, for its PolynomialDecay, callbacks=\[StepSchedule"):
        make_trainer(optimizer=keras.optimizers.Adam(schedule))
    with pytest.raises(TrainingError, match="learning_rate is a PolynomialDecay; expected a number"):
        make_trainer(optimizer="adam", learning_rate=schedule)
    trainer, rates = make_trainer(optimizer="sgd", learning_rate=1.0), Rates()
    with pytest.raises(TrainingError, match="the learning rate is a PolynomialDecay; expected a number"):
        trainer.optimizer.learning_rate = schedule
    follow = StepSchedule(lambda step, steps: float(schedule(step)))
    trainer.fit(points[0][:48], points[1][:48], batch_size=8, verbose=0, callbacks=[follow, rates])
    assert [r for (r,) in rates.seen] == pytest.approx([float(schedule(step)) for step in range(6)])

    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(schedule), "mse")
    for callback in (
        keras.callbacks.LearningRateScheduler(lambda e, r: r),
        keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=100),
    ):
        with pytest.raises(TypeError, match="This optimizer was created with a `LearningRateSchedule`"):
            model.fit(torch.ones(4, 3), torch.ones(4, 2), epochs=4, verbose=0, callbacks=[callback])


def rates_of(trainer: Any, points: Any, *callbacks: Any, epochs: int = 4) -> list[float]:
    """Return the learning rate of each update."""
    seen: list[float] = []
    watch = LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(float(trainer.optimizer.learning_rate)))
    trainer.fit(*points, epochs=epochs, batch_size=60, verbose=0, callbacks=[*callbacks, watch])
    return seen


def test_what_others_do_to_the_rate_scales_the_rest_of_a_curve(make_trainer: Any, points: Any) -> None:
    curve = rates_of(make_trainer(), points, WarmupCosine(0.25))
    plateau = ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=99)
    for order in (0, 1):
        pair = [WarmupCosine(0.25), plateau]
        found = rates_of(make_trainer(), points, *(pair if order else pair[::-1]))
        assert found == pytest.approx([rate * 0.1 ** max(0, step // 2 - 1) for step, rate in enumerate(curve)])
    halves = LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch else rate)
    found = rates_of(make_trainer(), points, halves, WarmupCosine(0.25))
    assert found == pytest.approx([rate * 0.5 ** (step // 2) for step, rate in enumerate(curve)])


def test_two_curves_are_multiplied(make_trainer: Any, points: Any) -> None:
    def falling(step: int, steps: int) -> float:
        return 0.9**step

    def rising(step: int, steps: int) -> float:
        return (step + 1) / steps

    found = rates_of(make_trainer(), points, StepSchedule(falling), StepSchedule(rising))
    assert found == pytest.approx([0.001 * falling(step, 8) * rising(step, 8) for step in range(8)])


def test_a_scaled_curve_is_resumed(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    def run(killed_at: int | None) -> list[float]:
        def kill(epoch: int, logs: Any) -> None:
            if epoch == killed_at:
                raise KeyboardInterrupt

        plateau = ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=99)
        backup = BackupAndRestore(tmp_path, save_freq=1)
        return rates_of(
            make_trainer(), points, WarmupCosine(0.25), plateau, backup, LambdaCallback(on_epoch_begin=kill)
        )

    whole = run(None)
    with pytest.raises(KeyboardInterrupt):
        run(3)
    assert run(None) == whole[6:]


def test_a_second_fit_begins_where_the_curve_ended_and_says_so(make_trainer: Any, points: Any, said: Any) -> None:
    trainer = make_trainer()
    first = rates_of(trainer, points, WarmupCosine())
    assert said.warnings == []
    second = rates_of(trainer, points, WarmupCosine())
    assert max(second) == first[-1]
    assert len(said.warnings) == 1
    assert "where the curve of the last fit ended (it began with 0.001)" in said.warnings[0]
    trainer.optimizer.learning_rate = 0.001
    assert rates_of(trainer, points, WarmupCosine()) == pytest.approx(first)
    assert len(said.warnings) == 1
