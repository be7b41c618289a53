"""The behaviours that Keras's own tests of its callbacks cover, each run with Keras and with regraft, and compared.

A case is a function of a `Side`: the callbacks and a way to make a model. It returns what happened; an exception is
what happened too. `DIFFERENT` lists the cases that differ on purpose, by the number in docs/callbacks.md.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from callbacks.test_third_party import close
from regraft import callbacks as ours
from regraft.training import Trainer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "callbacks.md"
X = np.random.default_rng(5).normal(size=(20, 3)).astype("float32")
Y = X.sum(1, keepdims=True) * 0.5
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@dataclass
class Side:
    """Keras or regraft."""

    callbacks: Any
    folder: Path
    keras: Any

    @property
    def is_keras(self) -> bool:
        return self.callbacks is not ours

    def model(self, rate: float = 0.05, metrics: Any = (), ema: float | None = None, loss: Any = "mse") -> Any:
        """Return a linear model of ones, not trained yet."""
        if self.is_keras:
            model = self.keras.Sequential(
                [self.keras.Input((3,)), self.keras.layers.Dense(1, kernel_initializer="ones")]
            )
            average = {} if ema is None else {"use_ema": True, "ema_momentum": ema}
            model.compile(self.keras.optimizers.SGD(rate, **average), loss, metrics=list(metrics))
            return model
        linear = nn.Linear(3, 1)
        nn.init.ones_(linear.weight)
        nn.init.zeros_(linear.bias)
        return Trainer(linear, "sgd", loss, list(metrics), learning_rate=rate, ema=ema)

    def fit(self, model: Any, callbacks: Any, x: Any = X, y: Any = Y, **options: Any) -> Any:
        given = {"epochs": 4, "batch_size": 5, "shuffle": False, "verbose": 0} | options
        return model.fit(x, y, callbacks=callbacks, **given)

    def files(self) -> list[str]:
        return sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())


CASES: dict[str, Callable[[Side], Any]] = {}
RAISES = "raises"
REFUSED = {"checkpoint_with_a_wrong_frequency", "plateau_with_a_factor_of_one"}  # by both
DIFFERENT = {
    "checkpoint_of_an_unknown_figure": 1,
    "stopping_at_an_unknown_figure": 1,
    "plateau_of_an_unknown_figure": 1,
    "an_unknown_mode": 2,
    "lambda_with_an_unknown_name": 2,
    "checkpoint_of_validation_without_any": 3,
    "stopping_at_nan": 4,
    "checkpoint_at_nan": 4,
    "backup_after_a_callback_that_raises": 6,
    "checkpoint_by_batches_of_the_best": 9,
    "checkpoint_named_by_validation_without_any": 10,
}


def case(function: Callable[[Side], Any]) -> Callable[[Side], Any]:
    CASES[function.__name__] = function
    return function


def numbers(history: Any) -> dict[str, list[float]]:
    return {name: [float(v) for v in history.history[name]] for name in sorted(history.history)}


def weights_of(model: Any) -> list[float]:
    """Return all weights in one list; Keras's kernels are the transposes of torch's."""
    return [float(v) for w in model.get_weights() for v in np.ravel(w)]


VALIDATION = {"validation_data": (X[:8], Y[:8] + 0.3)}


# EarlyStopping


@case
def stopping_by_a_list_of_losses(side: Side) -> Any:
    stopped = []
    for patience in range(5):
        callback = side.callbacks.EarlyStopping("loss", patience=patience)
        callback.set_model(side.model())
        callback.on_train_begin()
        for epoch, loss in enumerate([9.0, 8.0, 7.0, 7.5, 7.4, 7.3, 7.2, 7.1, 6.0]):
            callback.on_epoch_end(epoch, logs={"loss": loss})
            if callback.model.stop_training:
                break
        stopped.append([callback.stopped_epoch, callback.wait, callback.best_epoch, float(callback.best)])
    return stopped


@case
def stopping_again_with_the_same_object(side: Side) -> Any:
    model, callback = side.model(rate=0.9), side.callbacks.EarlyStopping("loss", patience=1)
    first = side.fit(model, [callback], epochs=9)
    model.stop_training = False
    second = side.fit(model, callback, epochs=9)
    return first.epoch, second.epoch


@case
def stopping_state_is_reset(side: Side) -> Any:
    callback = side.callbacks.EarlyStopping("loss")
    callback.set_model(side.model())
    callback.best, callback.best_weights, callback.best_epoch = 0.1, [1], 7
    callback.wait = callback.stopped_epoch = 3
    callback.on_train_begin()
    return callback.best, callback.best_weights, callback.best_epoch, callback.wait, callback.stopped_epoch


@case
def stopping_with_a_baseline(side: Side) -> Any:
    epochs = []
    for baseline in (1e-9, 100.0):
        callback = side.callbacks.EarlyStopping("loss", patience=2, baseline=baseline)
        epochs.append(side.fit(side.model(), [callback], epochs=6).epoch)
    return epochs


@case
def stopping_restores_the_best(side: Side) -> Any:
    model = side.model(rate=0.9)  # it diverges
    callback = side.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    history = side.fit(model, [callback], epochs=6, **VALIDATION)
    return numbers(history), weights_of(model), callback.best_epoch


@case
def stopping_restores_at_the_end_without_a_stop(side: Side) -> Any:
    model = side.model(rate=0.9)
    callback = side.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True)
    side.fit(model, [callback], epochs=3, **VALIDATION)
    return weights_of(model), callback.stopped_epoch


@case
def stopping_restores_the_first_where_none_is_better(side: Side) -> Any:
    model = side.model()
    callback = side.callbacks.EarlyStopping("loss", patience=2, mode="max", restore_best_weights=True)
    side.fit(model, [callback], epochs=6)
    return weights_of(model), callback.best_epoch


@case
def stopping_from_an_epoch(side: Side) -> Any:
    callback = side.callbacks.EarlyStopping("loss", patience=1, mode="max", start_from_epoch=2)
    return side.fit(side.model(), [callback], epochs=9).epoch, callback.wait


@case
def stopping_where_nothing_changes(side: Side) -> Any:
    return [
        side.fit(side.model(rate=0.0), [side.callbacks.EarlyStopping("loss", patience=n)], epochs=9).epoch
        for n in range(3)
    ]


@case
def stopping_at_an_unknown_figure(side: Side) -> Any:
    return side.fit(side.model(), [side.callbacks.EarlyStopping("unknown", mode="min")], **VALIDATION).epoch


@case
def stopping_at_nan(side: Side) -> Any:
    callback = side.callbacks.EarlyStopping("loss", patience=1)
    callback.set_model(side.model())
    callback.on_train_begin()
    for epoch, loss in enumerate([float("nan"), 3.0, 2.0, 1.0]):
        callback.on_epoch_end(epoch, logs={"loss": loss})
    return callback.stopped_epoch, repr(callback.best)


@case
def an_unknown_mode(side: Side) -> Any:
    return side.callbacks.EarlyStopping(mode="unknown").mode


@case
def directions_of_metrics(side: Side) -> Any:
    signs = []
    for monitor in ("val_loss", "loss", "mae", "val_mae", "mse", "val_binary_accuracy", "binary_accuracy"):
        callback = side.callbacks.EarlyStopping(monitor, patience=9)
        side.fit(side.model(metrics=["mae", "mse", "binary_accuracy"]), [callback], epochs=2, **VALIDATION)
        signs.append([callback.monitor_op == np.less, callback.monitor_op.__name__])
    return [name for _, name in signs]


# ModelCheckpoint


@case
def checkpoint_of_every_epoch(side: Side) -> Any:
    path = str(side.folder / "below" / "{epoch:02d}-{val_loss:.2f}.weights.h5")
    side.fit(side.model(), [side.callbacks.ModelCheckpoint(path, save_weights_only=True)], **VALIDATION)
    return side.files()


@case
def checkpoint_of_the_best(side: Side) -> Any:
    found = []
    for mode, monitor in (("auto", "val_loss"), ("min", "loss"), ("max", "val_loss")):
        path = str(side.folder / (mode + "{epoch}.weights.h5"))
        arguments = {"monitor": monitor, "save_best_only": True, "save_weights_only": True, "mode": mode}
        callback = side.callbacks.ModelCheckpoint(path, **arguments)
        side.fit(side.model(), [callback], **VALIDATION)
        found.append([float(callback.best), side.files()])
    return found


@case
def checkpoint_with_a_threshold(side: Side) -> Any:
    for name, threshold in (("low", 0.0), ("high", 1e9)):
        callback = side.callbacks.ModelCheckpoint(
            str(side.folder / f"{name}.weights.h5"), "loss", save_best_only=True, save_weights_only=True,
            initial_value_threshold=threshold,
        )  # fmt: skip
        side.fit(side.model(), [callback])
    return side.files()


@case
def checkpoint_by_batches(side: Side) -> Any:
    for every in (1, 3, 7):
        path = str(side.folder / f"{every}-{{epoch}}-{{batch}}.weights.h5")
        callback = side.callbacks.ModelCheckpoint(path, "loss", save_weights_only=True, save_freq=every)
        side.fit(side.model(), [callback])
    return side.files()


@case
def checkpoint_by_batches_of_the_best(side: Side) -> Any:
    path = str(side.folder / "{epoch}-{batch}.weights.h5")
    callback = side.callbacks.ModelCheckpoint(
        path, "loss", save_weights_only=True, save_freq=2, save_best_only=True, mode="min"
    )
    side.fit(side.model(), [callback])
    return side.files()


@case
def checkpoint_with_a_wrong_frequency(side: Side) -> Any:
    return side.callbacks.ModelCheckpoint(str(side.folder / "a.keras"), save_freq="invalid")


@case
def checkpoint_of_an_unknown_figure(side: Side) -> Any:
    callback = side.callbacks.ModelCheckpoint(
        str(side.folder / "a.weights.h5"), "unknown", save_best_only=True, save_weights_only=True, mode="min"
    )
    side.fit(side.model(), [callback], **VALIDATION)
    return side.files()


@case
def checkpoint_of_validation_without_any(side: Side) -> Any:
    callback = side.callbacks.ModelCheckpoint(
        str(side.folder / "a.weights.h5"), "val_loss", save_best_only=True, save_weights_only=True
    )
    side.fit(side.model(), [callback])
    return side.files()


@case
def checkpoint_named_by_validation_without_any(side: Side) -> Any:
    path = str(side.folder / "{epoch}-{val_loss:.1f}.weights.h5")
    callback = side.callbacks.ModelCheckpoint(path, save_weights_only=True)
    side.fit(side.model(), [callback], validation_freq=2, **VALIDATION)
    return len(side.files())


@case
def checkpoint_at_nan(side: Side) -> Any:
    callback = side.callbacks.ModelCheckpoint(
        str(side.folder / "{epoch}.weights.h5"), "loss", save_best_only=True, save_weights_only=True
    )
    callback.set_model(side.model())
    callback.on_train_begin()
    for epoch, loss in enumerate([float("nan"), 3.0, 2.0]):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, logs={"loss": loss})
    return side.files()


@case
def checkpoint_onto_a_folder(side: Side) -> Any:
    (side.folder / "a.weights.h5").mkdir()
    callback = side.callbacks.ModelCheckpoint(str(side.folder / "a.weights.h5"), save_weights_only=True)
    try:
        side.fit(side.model(), [callback])
    except (OSError, ValueError):
        return "refused"
    return "accepted"


@case
def checkpoint_can_be_loaded(side: Side) -> Any:
    model = side.model()
    path = str(side.folder / "a.weights.h5")
    side.fit(model, [side.callbacks.ModelCheckpoint(path, save_weights_only=True)])
    again = side.model()
    again.load_weights(path)
    return weights_of(again), again.evaluate(X, Y, verbose=0)


# learning rates


@case
def plateau_reduces(side: Side) -> Any:
    results = []
    for arguments in (
        {"patience": 1, "min_delta": 100.0},
        {"patience": 1, "min_delta": 100.0, "cooldown": 2},
        {"patience": 2, "min_delta": 100.0, "factor": 0.5, "min_lr": 0.02},
        {"patience": 0, "min_delta": 100.0, "mode": "max"},
    ):
        callback = side.callbacks.ReduceLROnPlateau("val_loss", **arguments)
        results.append(numbers(side.fit(side.model(), [callback], epochs=6, **VALIDATION)))
        results.append([callback.wait, callback.cooldown_counter, callback.in_cooldown()])
    return results


@case
def plateau_state_is_reset(side: Side) -> Any:
    callback = side.callbacks.ReduceLROnPlateau("loss", cooldown=2)
    callback.best, callback.wait, callback.cooldown_counter = 0.5, 3, 2
    callback.set_model(side.model())
    callback.on_train_begin()
    return callback.best, callback.wait, callback.cooldown_counter


@case
def plateau_with_a_factor_of_one(side: Side) -> Any:
    return side.callbacks.ReduceLROnPlateau(factor=1.0)


@case
def plateau_of_an_unknown_figure(side: Side) -> Any:
    return side.fit(side.model(), [side.callbacks.ReduceLROnPlateau("unknown", mode="min")]).epoch


@case
def scheduler(side: Side) -> Any:
    results = []
    for schedule in (lambda epoch: 0.01 / (epoch + 1), lambda epoch, rate: rate * 0.5, lambda e, r: np.float32(0.01)):
        callback = side.callbacks.LearningRateScheduler(schedule)
        results.append(numbers(side.fit(side.model(), [callback])))
    return results


@case
def scheduler_that_returns_no_float(side: Side) -> Any:
    outcomes = []
    for value in (1, None, "0.1", np.array(0.1), torch.tensor(0.1), True, [0.1]):
        callback = side.callbacks.LearningRateScheduler(lambda epoch, value=value: value)
        try:
            side.fit(side.model(), [callback])
        except ValueError:
            outcomes.append("refused")
        else:
            outcomes.append("accepted")
    return outcomes


# CSVLogger


@case
def csv_again_with_the_same_object(side: Side) -> Any:
    path, model = side.folder / "log.tsv", side.model(metrics=["mae"])
    side.fit(model, [side.callbacks.CSVLogger(str(path), separator="\t")], **VALIDATION)
    appending = side.callbacks.CSVLogger(str(path), separator="\t", append=True)
    side.fit(model, [appending], epochs=1, **VALIDATION)
    side.fit(model, [appending], epochs=2, **VALIDATION)
    rows = list(csv.reader(path.open(), delimiter="\t"))
    return rows[0], [[float(field) for field in row] for row in rows[1:]]


@case
def csv_with_a_stop_by_nan(side: Side) -> Any:
    path = side.folder / "log.csv"
    callbacks = [side.callbacks.TerminateOnNaN(), side.callbacks.CSVLogger(str(path))]
    side.fit(side.model(), callbacks, x=X * np.float32("nan"), **VALIDATION)
    return [[field.lower() for field in row] for row in csv.reader(path.open())]


@case
def csv_of_an_epoch_without_validation(side: Side) -> Any:
    path = side.folder / "log.csv"
    side.fit(side.model(), [side.callbacks.CSVLogger(str(path))], validation_freq=2, **VALIDATION)
    rows = list(csv.reader(path.open()))
    return rows[0], [[field if field == "NA" else float(field) for field in row] for row in rows[1:]]


@case
def csv_of_lists_and_texts(side: Side) -> Any:
    path = side.folder / "log.csv"
    callback = side.callbacks.CSVLogger(str(path))
    callback.on_train_begin()
    callback.on_epoch_end(0, {"loss": 0.5, "each": [1, 2.5], "text": "a,b", "zero": np.array(3.5)})
    callback.on_epoch_end(1, {"loss": 0.25})
    callback.on_train_end()
    return path.read_text()


# LambdaCallback, History, CallbackList, ProgbarLogger


@case
def order_and_arguments_of_hooks(side: Side) -> Any:
    calls: list[Any] = []

    class Notes(side.callbacks.Callback):  # type: ignore[misc,name-defined]
        pass

    def note(name: str) -> Callable[..., None]:
        def hook(self: Any, *arguments: Any, logs: Any = None) -> None:
            position = [a for a in arguments if isinstance(a, int)]
            found = logs if logs is not None else next((a for a in arguments if isinstance(a, dict)), {})
            calls.append([name, position, sorted(found or {})])

        return hook

    for name in dir(Notes):
        if name.startswith("on_") and name not in ("on_batch_begin", "on_batch_end"):
            setattr(Notes, name, note(name))
    model = side.model(metrics=["mae"])
    side.fit(model, [Notes()], epochs=2, batch_size=10, **VALIDATION)
    model.evaluate(X, Y, batch_size=10, verbose=0, callbacks=[Notes()])
    model.predict(X, batch_size=10, verbose=0, callbacks=[Notes()])
    return calls


@case
def lambda_with_every_hook(side: Side) -> Any:
    calls: list[str] = []
    by_position = {
        "on_epoch_begin": lambda epoch, logs: calls.append(f"epoch begin {epoch}"),
        "on_epoch_end": lambda epoch, logs: calls.append(f"epoch end {epoch} {sorted(logs)}"),
        "on_train_begin": lambda logs: calls.append("begin"),
        "on_train_end": lambda logs: calls.append(f"end {sorted(logs)}"),
        "on_train_batch_begin": lambda batch, logs: calls.append(f"batch begin {batch}"),
        "on_train_batch_end": lambda batch, logs: calls.append(f"batch end {batch} {sorted(logs)}"),
    }
    side.fit(side.model(), [side.callbacks.LambdaCallback(**by_position)], epochs=2, batch_size=10)
    model = side.model()
    model.evaluate(
        X, Y, verbose=0, callbacks=[side.callbacks.LambdaCallback(on_test_begin=lambda logs: calls.append("t"))]
    )
    model.predict(
        X, verbose=0, callbacks=[side.callbacks.LambdaCallback(on_predict_end=lambda logs: calls.append("p"))]
    )
    return calls


@case
def lambda_without_arguments(side: Side) -> Any:
    return side.fit(side.model(), [side.callbacks.LambdaCallback()], epochs=1).epoch


@case
def lambda_with_an_unknown_name(side: Side) -> Any:
    return callable(side.callbacks.LambdaCallback(custom=print).custom)


@case
def the_hook_of_older_keras(side: Side) -> Any:
    calls: list[int] = []

    class Older(side.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_batch_begin(self, batch: int, logs: Any = {}) -> None:  # noqa: B006
            calls.append(-batch)

        def on_batch_end(self, batch: int, logs: Any = {}) -> None:  # noqa: B006
            calls.append(batch)

    side.fit(side.model(), [Older()], epochs=2)
    return calls


@case
def history_of_two_fits(side: Side) -> Any:
    model = side.model()
    history = side.callbacks.History()
    first = side.fit(model, [history], epochs=2)
    second = side.fit(model, [history], epochs=1)
    return first is history, second is history, history.epoch, numbers(history), model.history is history


@case
def the_weights_at_the_end_of_an_epoch_are_the_models(side: Side) -> Any:
    seen: list[Any] = []

    class Looks(side.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(weights_of(self.model))
            seen.append(float(np.ravel(self.model.evaluate(X, Y, verbose=0))[0]))

    side.fit(side.model(), [Looks()])
    return seen


@case
def a_stop_in_a_batch(side: Side) -> Any:
    calls: list[int] = []

    class Stops(side.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            calls.append(batch)
            self.model.stop_training = batch == 1

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    return side.fit(side.model(), [Stops()], epochs=9).epoch, calls[:2]


@case
def a_list_adds_history_and_bar_once(side: Side) -> Any:
    kinds = []
    for given in (None, [side.callbacks.History()], [side.callbacks.ProgbarLogger()]):
        hooks = side.callbacks.CallbackList(
            given, add_history=True, add_progbar=True, model=side.model(), epochs=3, steps=4, verbose=0
        )
        kinds.append([[type(c).__name__ for c in hooks.callbacks], dict(hooks.params)])
    return kinds


@case
def a_bar_of_silence(side: Side) -> Any:
    bar = side.callbacks.ProgbarLogger()
    history = side.fit(side.model(), [bar], verbose=0)
    return history.epoch, bar.verbose, bar.epochs


# TerminateOnNaN


@case
def nan_stops(side: Side) -> Any:
    history = side.fit(side.model(), [side.callbacks.TerminateOnNaN()], x=X * np.float32("inf"), epochs=5)
    return len(history.history["loss"])


@case
def nan_raises(side: Side) -> Any:
    ended: list[int] = []
    callbacks = [
        side.callbacks.TerminateOnNaN(raise_error=True),
        side.callbacks.LambdaCallback(on_train_end=lambda logs: ended.append(1)),
    ]
    try:
        side.fit(side.model(), callbacks, x=X * np.float32("inf"))
    except RuntimeError as error:
        return re.findall("NaN or Inf loss encountered at batch 0", str(error)), ended
    return None


@case
def nan_in_a_later_batch_raises(side: Side) -> Any:
    x = X.copy()
    x[12] = np.nan
    batches: list[int] = []
    callbacks = [
        side.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(batch)),
        side.callbacks.TerminateOnNaN(raise_error=True),
    ]
    with pytest.raises(RuntimeError, match="batch 2"):
        side.fit(side.model(), callbacks, x=x)
    return batches


@case
def nan_leaves_finite_losses_alone(side: Side) -> Any:
    return [
        side.fit(side.model(), [side.callbacks.TerminateOnNaN(raise_error=raises)], epochs=2).epoch
        for raises in (False, True)
    ]


# BackupAndRestore


def interrupted(side: Side, **options: Any) -> Any:
    """Return what a training did that was interrupted in its second epoch and called again."""
    failing = [True]

    class Fails(side.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if failing[0] and epoch == 2:
                raise RuntimeError("cut off")

    model, folder = side.model(), side.folder / "backup"
    results = []
    for _ in range(2):
        backup = side.callbacks.BackupAndRestore(str(folder), **options)
        try:
            history = side.fit(model, [backup, Fails()], epochs=5)
        except RuntimeError:
            results.append(any(p.is_file() for p in folder.rglob("*")))
            failing[0] = False
        else:
            results.append([history.epoch[-1], weights_of(model)])
    return [*results, any(p.is_file() for p in folder.rglob("*"))]


@case
def backup_by_epochs(side: Side) -> Any:
    return interrupted(side)


@case
def backup_twice_and_kept(side: Side) -> Any:
    return interrupted(side, double_checkpoint=True, delete_checkpoint=False)


@case
def backup_after_a_callback_that_raises(side: Side) -> Any:
    """Keras's backup, the first in the list, has seen the epoch when the other raises; ours runs last."""
    failing, begun = [True], []

    class Fails(side.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            begun.append(epoch)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if failing[0] and epoch == 1:
                failing[0] = False
                raise RuntimeError("cut off")

    model = side.model()
    for _ in range(2):
        try:
            side.fit(model, [side.callbacks.BackupAndRestore(str(side.folder / "backup")), Fails()], epochs=4)
        except RuntimeError:
            continue
    return begun


@case
def backup_with_wrong_arguments(side: Side) -> Any:
    outcomes = []
    for arguments in ({"backup_dir": ""}, {"backup_dir": None}, {"backup_dir": "a", "save_freq": "batch"},
                      {"backup_dir": "a", "save_freq": 0.15}):  # fmt: skip
        with pytest.raises(ValueError, match=r"(Empty `backup_dir` argument|Invalid value)"):
            side.callbacks.BackupAndRestore(**arguments)
        outcomes.append("refused")
    return outcomes


# SwapEMAWeights


@case
def averages_in_validation(side: Side) -> Any:
    results = []
    for callbacks in ([], [False], [True]):
        model = side.model(ema=0.9)
        history = side.fit(model, [side.callbacks.SwapEMAWeights(swap) for swap in callbacks], **VALIDATION)
        results.append([numbers(history), weights_of(model)])
        results.append(float(np.ravel(model.evaluate(X, Y, verbose=0))[0]))
    return results


@case
def averages_behind_the_swap(side: Side) -> Any:
    seen: list[Any] = []

    def look(epoch: int, logs: Any) -> None:
        seen.append(weights_of(model))

    for swap in (False, True):
        model = side.model(ema=0.9)
        look_back = side.callbacks.LambdaCallback(on_epoch_end=look)
        side.fit(model, [side.callbacks.SwapEMAWeights(swap), look_back], **VALIDATION)
    return seen


@case
def averages_without_any(side: Side) -> Any:
    with pytest.raises(ValueError, match="SwapEMAWeights must be used when `use_ema=True` is set"):
        side.fit(side.model(), [side.callbacks.SwapEMAWeights()], **VALIDATION)
    return "refused"


def outcome(function: Callable[[Side], Any], side: Side) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(side)
        except (ValueError, KeyError, TypeError, RuntimeError):
            return RAISES


@pytest.mark.parametrize("name", CASES)
def test_a_behaviour_is_kerass(keras: Any, name: str, tmp_path: Path) -> None:
    found = []
    for callbacks, folder in ((keras.callbacks, "keras"), (ours, "regraft")):
        (tmp_path / folder).mkdir()
        found.append(outcome(CASES[name], Side(callbacks, tmp_path / folder, keras)))
    if name in DIFFERENT:
        assert not close(found[1], found[0]), f"no longer different: remove it from DIFFERENT ({found[0]})"
    else:
        assert close(found[1], found[0]), f"keras {found[0]}\nregraft {found[1]}"
        assert (found[0] == RAISES) == (name in REFUSED)


def test_each_difference_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    part = page[page.index("## Where regraft differs from Keras") :].partition("\n## ")[0]
    numbered = {int(number) for number in re.findall(r"^(\d+)\. ", part, re.MULTILINE)}
    assert set(DIFFERENT.values()) <= numbered
    assert set(DIFFERENT) <= set(CASES)
    assert len(CASES) > 50
