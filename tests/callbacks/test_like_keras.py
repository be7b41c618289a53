"""Generated series of logs are fed to the hooks of Keras's callback and of ours: what both do must be the same.

Figures are multiples of 1/64, so that Keras, which compares in single precision, and regraft, which compares in
double, see the same ties. What is different on purpose is listed in docs/callbacks.md and left out here: a NaN that
comes first, and a monitored figure that does not exist while others of validation do.
"""

from __future__ import annotations

import math
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regraft import callbacks as ours

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def figure(draw: random.Random, around: float) -> float:
    kind = draw.random()
    if kind < 0.08:
        return math.nan
    if kind < 0.12:
        return draw.choice([math.inf, -math.inf])
    return around + draw.randint(-24, 24) / 64


def series(draw: random.Random, monitor: str, gaps: bool = True) -> list[dict[str, float]]:
    """Return the logs of some epochs; the first value of ``monitor`` is a number."""
    start, slope = draw.randint(-64, 256) / 64, draw.choice([0, 0, -1, 1, -8, 8]) / 64
    epochs, seen = [], False
    for epoch in range(draw.randint(1, 12)):
        logs = {"loss": figure(draw, start), "accuracy": draw.randint(0, 64) / 64}
        if not (gaps and draw.random() < 0.1):
            value = figure(draw, start + slope * epoch)
            if not seen and math.isnan(value):
                value = start
            seen = True
            logs |= {"val_loss": value, "val_accuracy": value}
        elif monitor == "loss":
            logs["loss"] = start
        epochs.append(logs)
    if monitor == "loss" and math.isnan(epochs[0]["loss"]):
        epochs[0]["loss"] = start
    return epochs


def run(callback: Any, model: Any, epochs: list[dict[str, float]], steps: int = 0) -> tuple[list[Any], list[Any]]:
    """Feed the logs to the hooks; return the learning rates and the figures that the callback left in the logs."""
    callback.set_params({"verbose": 0, "epochs": len(epochs), "steps": steps})
    callback.set_model(model)
    callback.on_train_begin({})
    rates, left = [], []
    for epoch, logs in enumerate(epochs):
        own = dict(logs)
        callback.on_epoch_begin(epoch, {})
        for batch in range(steps):
            callback.on_train_batch_begin(batch, logs={})
            callback.on_train_batch_end(batch, logs={"loss": logs["loss"]})
        model.weights = epoch + 1
        callback.on_epoch_end(epoch, own)
        rates.append(float(model.optimizer.learning_rate))
        left.append({name: repr(value) for name, value in own.items()})
        if model.stop_training:
            break
    callback.on_train_end({})
    return rates, left


def both(keras: Any, recorder: Any, name: str, arguments: dict[str, Any], epochs: Any, steps: int = 0) -> list[Any]:
    """Return what happened with Keras's callback called ``name``, and with ours."""
    outcomes = []
    for source in (keras.callbacks, ours):
        model = recorder()
        callback = getattr(source, name)(**arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rates, left = run(callback, model, epochs, steps)
        state = {
            key: getattr(callback, key, None) for key in ("wait", "stopped_epoch", "best_epoch", "cooldown_counter")
        }
        best = getattr(callback, "best", None)
        outcomes.append(
            (model.stop_training, model.done, rates, left, state, repr(None if best is None else float(best)))
        )
    return outcomes


def test_early_stopping(keras: Any, recorder: Any) -> None:
    stopped = restored = 0
    for seed in range(2500):
        draw = random.Random(seed)
        monitor = draw.choice(["val_loss", "val_accuracy", "loss"])
        arguments = {
            "monitor": monitor,
            "min_delta": draw.choice([0, 0, 1 / 64, -3 / 64, 8 / 64]),
            "patience": draw.randint(0, 4),
            "mode": draw.choice(["min", "max"] if monitor == "val_accuracy" else ["auto", "min", "max"]),
            "baseline": draw.choice([None, None, 1.0, 0.0, 2.5]),
            "restore_best_weights": draw.random() < 0.5,
            "start_from_epoch": draw.choice([0, 0, 1, 3]),
        }
        epochs = series(draw, monitor)
        _first_is_a_number(epochs, monitor, arguments["start_from_epoch"])
        theirs, own = both(keras, recorder, "EarlyStopping", arguments, epochs)
        assert own == theirs, (seed, arguments, epochs)
        stopped += own[0]
        restored += bool(own[1])
    assert stopped > 500
    assert restored > 500


def _first_is_a_number(epochs: list[dict[str, float]], monitor: str, start: int) -> None:
    for logs in epochs[start:]:
        if monitor in logs:
            if math.isnan(logs[monitor]):
                logs[monitor] = 1.0
            return


def test_reduce_lr_on_plateau(keras: Any, recorder: Any) -> None:
    reduced = 0
    for seed in range(2500):
        draw = random.Random(seed)
        monitor = draw.choice(["val_loss", "val_accuracy", "loss"])
        arguments = {
            "monitor": monitor,
            "factor": draw.choice([0.1, 0.5, 0.3]),
            "patience": draw.randint(0, 3),
            "mode": draw.choice(["min", "max"] if monitor == "val_accuracy" else ["auto", "min", "max"]),
            "min_delta": draw.choice([0, 1 / 64, -1 / 64, 8 / 64]),
            "cooldown": draw.choice([0, 0, 1, 3]),
            "min_lr": draw.choice([0.0, 0.0, 0.004, 0.1]),
        }
        theirs, own = both(keras, recorder, "ReduceLROnPlateau", arguments, series(draw, monitor))
        assert own == theirs, (seed, arguments)
        reduced += own[2][-1] < 0.1
    assert reduced > 500


def test_model_checkpoint_by_epochs(keras: Any, recorder: Any, tmp_path: Path) -> None:
    kept_back = 0
    for seed in range(1500):
        draw = random.Random(seed)
        best = draw.random() < 0.7
        weights = draw.random() < 0.5
        name = draw.choice(["model", "{epoch:02d}", "{epoch}-{loss:.3f}"]) + (".weights.h5" if weights else ".keras")
        arguments = {
            "filepath": str(tmp_path / name),
            "monitor": draw.choice(["val_loss", "loss"]),
            "save_best_only": best,
            "save_weights_only": weights,
            "mode": draw.choice(["auto", "min", "max"]),
            "initial_value_threshold": draw.choice([None, None, 1.0]),
        }
        epochs = series(draw, arguments["monitor"], gaps=not best)
        theirs, own = both(keras, recorder, "ModelCheckpoint", arguments, epochs)
        assert own[:4] == theirs[:4], (seed, arguments, epochs)
        kept_back += len(own[1]) < len(epochs)
    assert kept_back > 500


def test_model_checkpoint_names_the_epochs_figures(keras: Any, recorder: Any, tmp_path: Path) -> None:
    for seed in range(100):
        draw = random.Random(seed)
        arguments = {"filepath": tmp_path / "model.{epoch:02d}-{val_loss:.2f}.h5"}
        theirs, own = both(keras, recorder, "ModelCheckpoint", arguments, series(draw, "val_loss", gaps=False))
        assert own[1] == theirs[1]


def test_model_checkpoint_by_batches(keras: Any, recorder: Any, tmp_path: Path) -> None:
    for seed in range(300):
        draw = random.Random(seed)
        arguments = {
            "filepath": str(tmp_path / draw.choice(["{epoch}-{batch}.keras", "model.h5", "{loss:.1f}.keras"])),
            "monitor": "loss",
            "save_freq": draw.randint(1, 9),  # with save_best_only, Keras raises a TypeError in its first epoch
        }
        epochs = series(draw, "loss", gaps=False)
        theirs, own = both(keras, recorder, "ModelCheckpoint", arguments, epochs, steps=draw.randint(1, 7))
        assert own[1] == theirs[1], (seed, arguments)


def test_csv_logger(keras: Any, recorder: Any, tmp_path: Path) -> None:
    for seed in range(400):
        draw = random.Random(seed)
        epochs = series(draw, "loss")
        if draw.random() < 0.3:
            for logs in epochs:
                logs["per_class"] = np.array([draw.random(), 0.5])  # type: ignore[assignment]
                logs["text"] = 'a "b",\n'  # type: ignore[assignment]
                logs["zero_dim"] = np.array(2.5)  # type: ignore[assignment]
        separator, append = draw.choice([",", ";", "\t"]), draw.random() < 0.5
        texts = []
        for source in (keras.callbacks, ours):
            path = tmp_path / f"{source.__name__}.csv"
            path.unlink(missing_ok=True)
            run(source.CSVLogger(path, separator=separator, append=append), recorder(), epochs)
            run(source.CSVLogger(str(path), separator=separator, append=append), recorder(), epochs)
            texts.append(path.read_bytes())
        assert texts[0] == texts[1], (seed, epochs)


def test_learning_rate_scheduler(keras: Any, recorder: Any) -> None:
    schedules = [
        lambda epoch, rate: rate * 0.9,
        lambda epoch: 0.1 / (1 + epoch),
        lambda epoch, rate: np.float32(rate) if epoch % 2 else 0.05,
    ]
    for schedule in schedules:
        arguments = {"schedule": schedule}
        theirs, own = both(keras, recorder, "LearningRateScheduler", arguments, series(random.Random(3), "loss"))
        assert own == theirs


@pytest.mark.parametrize("raise_error", [False, True])
def test_terminate_on_nan(keras: Any, recorder: Any, raise_error: bool) -> None:
    for seed in range(60):
        draw = random.Random(seed)
        epochs = series(draw, "accuracy")
        outcomes = []
        for source in (keras.callbacks, ours):
            model = recorder()
            try:
                rates, _ = run(source.TerminateOnNaN(raise_error=raise_error), model, epochs, steps=2)
                outcomes.append((len(rates), model.stop_training))
            except RuntimeError as error:
                outcomes.append(str(error)[:40])
        assert outcomes[0] == outcomes[1]


def test_history(keras: Any, recorder: Any) -> None:
    for seed in range(50):
        epochs = series(random.Random(seed), "loss")
        kept = []
        for source in (keras.callbacks, ours):
            callback, model = source.History(), recorder()
            run(callback, model, epochs)
            run(callback, model, epochs[:2])
            kept.append((repr(dict(callback.history)), callback.epoch, model.history is callback))
        assert kept[0] == kept[1]
