"""The weights that a callback keeps as the best are those whose figure was the best, with a moving average too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from regraft import callbacks as ours
from regraft.callbacks import Callback, EarlyStopping, History, ModelCheckpoint, ReduceLROnPlateau, SwapEMAWeights
from regraft.training import Trainer

EPOCHS = 12


def data() -> tuple[Any, Any, Any, Any]:
    """Return noisy points to train on and clean ones to validate with: the loss of validation rises again."""
    draw = torch.Generator().manual_seed(0)
    x, v = torch.randn(256, 8, generator=draw), torch.randn(128, 8, generator=draw)
    noisy = x[:, 0] + 0.8 * torch.randn(256, generator=draw)
    return x, (noisy > 0).long(), v, (v[:, 0] > 0).long()


def trainer(**options: Any) -> Trainer:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    return Trainer(net, "adam", "cross_entropy", learning_rate=0.03, **options)


def fit(model: Trainer, callbacks: list[Any]) -> History:
    x, y, v, w = data()
    return model.fit(x, y, epochs=EPOCHS, verbose=0, validation_data=(v, w), callbacks=callbacks)


def loss_of(model: Trainer) -> float:
    _, _, v, w = data()
    return float(model.evaluate(v, w, verbose=0))


def keras_early_stopping(keras: Any) -> Any:
    return keras.callbacks.EarlyStopping("val_loss", patience=4, restore_best_weights=True)


def own_early_stopping(keras: Any) -> Any:
    return EarlyStopping("val_loss", patience=4, restore_best_weights=True)


def subclass(keras: Any) -> Any:
    class Mine(EarlyStopping):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(epoch, logs)

    return Mine("val_loss", patience=4, restore_best_weights=True)


@pytest.mark.parametrize("make", [own_early_stopping, keras_early_stopping, subclass])
@pytest.mark.parametrize("swap_first", [True, False])
@pytest.mark.parametrize("swap_on_epoch", [None, False, True])
def test_what_is_restored_is_what_was_best(
    keras: Any, make: Callable[[Any], Any], swap_first: bool, swap_on_epoch: bool | None
) -> None:
    model, stopping = trainer(ema=0.9), make(keras)
    swap = [] if swap_on_epoch is None else [SwapEMAWeights(swap_on_epoch=swap_on_epoch)]
    history = fit(model, [*swap, stopping] if swap_first else [stopping, *swap])
    figures = history.history["val_loss"]
    assert stopping.best_epoch == int(np.argmin(figures))
    assert figures[-1] > min(figures)  # else restoring would prove nothing
    assert loss_of(model) == pytest.approx(min(figures), abs=1e-6)


SAVED = [  # each two values together
    (source, swap_first, swap_on_epoch, (number + swap_first) % 2 == 0)
    for source in ("ours", "keras")
    for swap_first in (True, False)
    for number, swap_on_epoch in enumerate((None, False, True))
]


@pytest.mark.parametrize(("source", "swap_first", "swap_on_epoch", "weights_only"), SAVED)
def test_what_is_saved_is_what_was_best(
    keras: Any, source: str, swap_first: bool, swap_on_epoch: bool | None, weights_only: bool, tmp_path: Path
) -> None:
    kind = ours if source == "ours" else keras.callbacks
    path = tmp_path / ("best.weights.h5" if weights_only else "best.h5")
    best = kind.ModelCheckpoint(str(path), save_best_only=True, save_weights_only=weights_only)
    swap = [] if swap_on_epoch is None else [SwapEMAWeights(swap_on_epoch=swap_on_epoch)]
    history = fit(trainer(ema=0.9), [*swap, best] if swap_first else [best, *swap])
    again = trainer(ema=0.9)
    again.load(path)
    assert loss_of(again) == pytest.approx(min(history.history["val_loss"]), abs=1e-6)


def test_a_training_that_loads_the_best_continues_from_its_weights_not_from_the_average(tmp_path: Path) -> None:
    x, y, _, _ = data()
    model = trainer(ema=0.9)
    seen: list[Any] = []

    class Look(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append([w.copy() for w in self.model.get_weights()])

    best = ModelCheckpoint(tmp_path / "best.pt", save_best_only=True)
    fit(model, [SwapEMAWeights(), Look(), best])
    again = trainer(ema=0.9)
    again.load(tmp_path / "best.pt")

    class Begin(Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch == 0:
                self.begun = self.model.get_weights()

    begin = Begin()
    again.fit(x, y, verbose=0, callbacks=[begin])
    assert any(all(map(np.array_equal, begin.begun, weights)) for weights in seen)


def test_weights_that_a_callback_sets_at_the_end_are_not_overwritten_by_the_average() -> None:
    class RestoreAtOnce(Callback):  # as EarlyStopping of older Keras did
        def on_train_begin(self, logs: Any = None) -> None:
            self.figures: list[float] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.figures.append(logs["val_loss"])
            if logs["val_loss"] == min(self.figures):
                self.kept = self.model.get_weights()
            if epoch == EPOCHS - 1:
                self.model.set_weights(self.kept)
                self.model.stop_training = True

    model = trainer(ema=0.9)
    restore = RestoreAtOnce()
    fit(model, [restore])
    assert loss_of(model) == pytest.approx(min(restore.figures), abs=1e-6)


def test_weights_that_are_only_exchanged_for_a_look_leave_the_average_in_the_module() -> None:
    class Look(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            own = self.model.get_weights()
            self.model.set_weights([w * 0 for w in own])
            self.model.set_weights(own)

    model, plain = trainer(ema=0.9), trainer(ema=0.9)
    fit(model, [Look()])
    fit(plain, [])
    assert all(map(np.array_equal, model.get_weights(), plain.get_weights()))


def test_the_average_of_a_second_fit_starts_from_the_restored_weights() -> None:
    x, y, _, _ = data()
    model = trainer(ema=0.999)
    fit(model, [EarlyStopping(patience=2, restore_best_weights=True)])
    restored = [w.detach().clone() for w in model.trainable_weights]
    model.optimizer.learning_rate = 0.0  # type: ignore[union-attr]
    model.fit(x, y, verbose=0)
    for weight, before in zip(model.trainable_weights, restored, strict=True):
        assert torch.allclose(weight, before, atol=1e-6)


def test_an_evaluation_puts_back_what_the_module_held_also_after_an_exception() -> None:
    model = trainer(ema=0.9)
    fit(model, [])
    x, y, v, w = data()
    model.fit(x, y, verbose=0, epochs=1)
    for _ in range(2):
        before = model.get_weights()
        model.evaluate(v, w, verbose=0, callbacks=[SwapEMAWeights()])
        model.predict(v, verbose=0, callbacks=[SwapEMAWeights()])
        assert all(map(np.array_equal, model.get_weights(), before))
        model.train_on_batch(x, y)  # now the average differs from the weights

    class Fails(Callback):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            raise ZeroDivisionError

    before = model.get_weights()
    with pytest.raises(ZeroDivisionError):
        model.evaluate(v, w, verbose=0, callbacks=[SwapEMAWeights(), Fails()])
    assert all(map(np.array_equal, model.get_weights(), before))


def test_figures_that_other_callbacks_watch_are_those_of_the_average() -> None:
    model = trainer(ema=0.9)
    reduce = ReduceLROnPlateau(patience=1, factor=0.5)
    history = fit(model, [reduce, SwapEMAWeights()])
    rates, figures = history.history["learning_rate"], history.history["val_loss"]
    assert reduce.best == min(figures)
    assert rates[-1] < rates[0]


def test_swap_is_kerass(keras: Any) -> None:
    """The figures of validation with the average, and the weights at the end, are Keras's."""
    x, y, v, w = (np.asarray(part) for part in data())
    results = []
    for swap_on_epoch in (False, True):
        theirs = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, kernel_initializer="ones")])
        theirs.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9), "mse")
        linear = nn.Linear(8, 1)
        nn.init.ones_(linear.weight)
        nn.init.zeros_(linear.bias)
        own = Trainer(linear, "sgd", "mse", learning_rate=0.1, ema=0.9)
        for model, kind in ((theirs, keras.callbacks), (own, ours)):
            target, checked = y[:, None].astype("float32"), w[:, None].astype("float32")
            options: dict[str, Any] = {"epochs": 3, "verbose": 0, "shuffle": False, "validation_data": (v, checked)}
            history = model.fit(x, target, callbacks=[kind.SwapEMAWeights(swap_on_epoch)], **options)
            results.append((history.history["val_loss"], np.ravel(model.get_weights()[0]).tolist()))
    for theirs, own in (results[:2], results[2:]):
        assert own[0] == pytest.approx(theirs[0], rel=1e-4)
        assert own[1] == pytest.approx(theirs[1], rel=1e-4)
