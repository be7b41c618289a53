"""Calling many as one, and what is said of one that goes wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from regraft.callbacks import (
    Callback,
    CallbackList,
    EarlyStopping,
    History,
    LambdaCallback,
    ProgbarLogger,
    ReduceLROnPlateau,
)
from regraft.errors import TrainingError


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_batch_end", "on_test_begin", "on_train_begin"])
def test_a_callback_that_raises_names_itself_and_the_hook(hook: str, make_trainer: Any, points: Any) -> None:
    class Faulty(Callback):
        pass

    def fail(self: Any, *args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError("as it was")

    setattr(Faulty, hook, fail)
    with pytest.raises(ZeroDivisionError, match="as it was") as caught:
        make_trainer().fit(*points, epochs=2, verbose=0, validation_split=0.5, callbacks=[Faulty()])
    position = {"on_epoch_end": " (epoch 0)", "on_train_batch_end": " (batch 0)"}.get(hook, "")
    assert caught.value.__notes__ == [f"raised by the callback Faulty in {hook}{position}"]


def test_all_are_closed_whatever_happens(make_trainer: Any, points: Any) -> None:
    closed = []

    class Closing(Callback):
        def close(self) -> None:
            closed.append(self)
            raise OSError("cannot")

    def fail(epoch: int, logs: Any) -> None:
        raise ZeroDivisionError

    given = [Closing(), Closing(), LambdaCallback(on_epoch_end=fail)]
    with pytest.raises(OSError, match="cannot"):
        make_trainer().fit(*points, verbose=0, callbacks=given)
    assert closed == given[:2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (EarlyStopping, r"the class EarlyStopping; expected an instance: EarlyStopping\(\)"),
        ("early", "contains a str; expected regraft or Keras callbacks, or torch schedulers"),
        ([[3]], "contains a int"),
    ],
)
def test_what_is_no_callback(given: Any, message: str, make_trainer: Any, points: Any) -> None:
    with pytest.raises(TrainingError, match=message):
        make_trainer().fit(*points, verbose=0, callbacks=[given])


def test_only_overridden_hooks_are_called() -> None:
    class Old(Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen = batch

    old = Old()
    hooks = CallbackList([[old], (Callback(),)], add_history=True, add_progbar=True, verbose=0, epochs=1, steps=2)
    assert [type(c) for c in hooks.callbacks] == [Old, Callback, History, ProgbarLogger]
    assert hooks.wants("on_train_batch_end")
    assert not hooks.wants("on_train_batch_begin")
    hooks.on_train_batch_end(4, {})
    assert old.seen == 4
    hooks.append(LambdaCallback(on_train_batch_begin=lambda batch, logs: None))
    assert hooks.wants("on_train_batch_begin")
    assert hooks.callbacks[-1].params == {"verbose": 0, "epochs": 1, "steps": 2}


def test_a_list_can_be_used_in_a_loop_of_ones_own(make_trainer: Any, points: Any) -> None:
    trainer = make_trainer()
    hooks = CallbackList([EarlyStopping("loss")], add_history=True, model=trainer, verbose=0, epochs=3, steps=1)
    hooks.on_train_begin()
    for epoch in range(3):
        hooks.on_epoch_begin(epoch)
        hooks.on_train_batch_begin(0)
        logs = trainer.train_on_batch(*points, return_dict=True)
        hooks.on_train_batch_end(0, logs)
        hooks.on_epoch_end(epoch, logs)
    hooks.on_train_end(logs)
    assert len(trainer.history.history["loss"]) == 3
    own = trainer.fit(*points, verbose=0, callbacks=hooks)
    assert own is hooks.history


def test_the_reason_of_a_stop_is_kept(make_trainer: Any, points: Any) -> None:
    fit = {"epochs": 9, "verbose": 0, "validation_split": 0.2}
    history = make_trainer().fit(*points, **fit, callbacks=[EarlyStopping(min_delta=9.0, patience=2)])
    assert history.stop_reason is not None
    assert history.stop_reason.startswith("EarlyStopping: val_loss has not improved for 2 epochs (best: ")
    assert history.stop_reason.endswith(" at epoch 1)")
    assert len(history.epoch) == 3

    class Bored(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    assert (
        make_trainer().fit(*points, **fit, callbacks=[Bored()]).stop_reason == "Bored stopped it in on_train_batch_end"
    )
    trainer = make_trainer()
    trainer.fit(*points, **fit, callbacks=[Bored()])
    assert trainer.fit(*points, epochs=1, verbose=0).stop_reason is None


def test_monitors_say_what_there_is(make_trainer: Any, points: Any) -> None:
    fit = {"epochs": 3, "verbose": 0, "validation_split": 0.2}
    message = r"monitors 'val_acuracy', which does not exist; there are \['accuracy', .*\]; did you mean 'val_accuracy'"
    for callback in (EarlyStopping("val_acuracy", mode="max"), ReduceLROnPlateau("val_acuracy", mode="max")):
        with pytest.raises(TrainingError, match=f"{type(callback).__name__} {message}"):
            make_trainer().fit(*points, **fit, callbacks=[callback])
    for kind in (EarlyStopping, ReduceLROnPlateau):
        with pytest.raises(
            TrainingError, match="mode is 'maximum'; expected 'auto', 'min' or 'max'; did you mean 'max'"
        ):
            kind(mode="maximum")
    make_trainer().fit(*points, **fit, validation_freq=2, callbacks=[EarlyStopping()])  # not every epoch has the figure


def test_a_figure_of_another_callback_can_be_monitored(make_trainer: Any, points: Any) -> None:
    class Adds(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["val_speed"] = -epoch

    history = make_trainer().fit(
        *points, epochs=5, verbose=0, callbacks=[Adds(), EarlyStopping("val_speed", mode="max")]
    )
    assert history.history["val_speed"] == [0, -1]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_nan_is_never_the_best(mode: str, recorder: Any) -> None:
    sign = 1 if mode == "min" else -1
    for series, best in (([float("nan"), 3, 2], 2), ([float("nan")] * 3, None), ([1, float("nan"), 0], 0)):
        model = recorder()
        callback = EarlyStopping("loss", patience=5, mode=mode, restore_best_weights=True)
        callback.set_model(model)
        callback.on_train_begin()
        for epoch, value in enumerate(series):
            model.weights = epoch
            callback.on_epoch_end(epoch, {"loss": sign * value})
        assert callback.best == (None if best is None else sign * best)
        callback.on_train_end()
        assert model.done == [("set_weights", 0 if best is None else 2)]


def test_older_names_of_the_learning_rate(make_trainer: Any, points: Any) -> None:
    trainer = make_trainer()
    trainer.optimizer.lr = 0.25
    assert trainer.optimizer.learning_rate == 0.25 == trainer.optimizer.param_groups[0]["lr"]
    callbacks = [ReduceLROnPlateau("loss", patience=1, epsilon=9.0, factor=0.5), EarlyStopping("lr", mode="max")]
    history = trainer.fit(*points, epochs=9, verbose=0, callbacks=callbacks)
    assert history.history["lr"] == history.history["learning_rate"] == [0.25, 0.25]
    assert "lr" not in history.history


def test_groups_keep_their_ratio(make_trainer: Any) -> None:
    trainer = make_trainer(
        optimizer=lambda p: torch.optim.SGD([{"params": p[:1], "lr": 0.1}, {"params": p[1:], "lr": 0.4}])
    )
    view = trainer.optimizer
    assert view.learning_rate == 0.4
    view.learning_rate = 0.2
    assert [g["lr"] for g in view.param_groups] == pytest.approx([0.05, 0.2])
    view.learning_rate = 0.0
    view.learning_rate = 0.8
    assert [g["lr"] for g in view.param_groups] == pytest.approx([0.2, 0.8])


def test_progress_is_said_by_verbose(make_trainer: Any, points: Any, said: Any) -> None:
    trainer = make_trainer()
    trainer.fit(*points, epochs=2, verbose=0)
    assert said.lines == []
    trainer.fit(*points, epochs=2, verbose=2, validation_split=0.2)
    assert len(said.lines) == 2
    assert "loss" in said.lines[0]
    assert "val_accuracy" in said.lines[0]
    trainer.evaluate(*points)
    assert len(said.lines) == 3
    trainer.predict(points[0])
    assert said.lines[3:] == ["4 batches"]


def test_a_misspelt_hook_is_warned_about(make_trainer: Any, points: Any) -> None:
    class Misspelt(Callback):
        def on_epoch_ends(self, epoch: int, logs: Any = None) -> None:
            raise AssertionError

        def _on_private(self) -> None:
            raise AssertionError

    with pytest.warns(
        UserWarning, match="Misspelt has a method on_epoch_ends, which is not a hook.*mean 'on_epoch_end'"
    ):
        make_trainer().fit(*points, verbose=0, callbacks=[Misspelt()])
