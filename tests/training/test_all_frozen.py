"""A module whose parameters are all frozen: `fit` reports it once and runs, as in Keras, and trains what is freed."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from regraft.callbacks import BackupAndRestore, Callback, EarlyStopping, LambdaCallback, SwapEMAWeights
from regraft.errors import TrainingError
from regraft.screen import PlainScreen
from regraft.training import Trainer

REPORT = "training changes nothing: all 6 parameters of the module are frozen"


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


def frozen_trainer(net: nn.Sequential, optimizer: Any = "adam", **options: Any) -> tuple[Trainer, io.StringIO]:
    net.requires_grad_(False)
    out = io.StringIO()
    return Trainer(net, optimizer, "cross_entropy", ["accuracy"], screen=PlainScreen(out), **options), out


def reports(out: io.StringIO) -> int:
    return " ".join(out.getvalue().split()).count(REPORT)


def state(net: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(net.state_dict())


def same(net: nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Hooks(Callback):
    """Counts the calls of the hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, int] = {}
        for name in ("train_begin", "train_end", "epoch_begin", "epoch_end", "train_batch_begin", "train_batch_end"):
            setattr(self, f"on_{name}", self._counting(name))

    def _counting(self, name: str) -> Any:
        def count(*_: Any, **__: Any) -> None:
            self.calls[name] = self.calls.get(name, 0) + 1

        return count


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "muon", "adafactor", torch.optim.AdamW])
@pytest.mark.parametrize(
    "options",
    [{}, {"ema": 0.9}, {"accumulate": 3, "clip_norm": 1.0}, {"precision": "bf16"}, {"shards": 4}],
    ids=["plain", "ema", "accumulate", "bf16", "shards"],
)
def test_fit_runs_and_changes_nothing(points: Any, optimizer: Any, options: dict[str, Any]) -> None:
    net = network()
    trainer, out = frozen_trainer(net, optimizer, **options)
    before, hooks = state(net), Hooks()
    average = [SwapEMAWeights()] if "ema" in options else []
    history = trainer.fit(*points, epochs=2, verbose=0, validation_split=0.2, callbacks=[hooks, *average])
    assert same(net, before)
    assert reports(out) == 1
    assert hooks.calls == {
        "train_begin": 1,
        "train_end": 1,
        "epoch_begin": 2,
        "epoch_end": 2,
        "train_batch_begin": 10,
        "train_batch_end": 10,
    }
    assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert history.history["val_loss"][0] == history.history["val_loss"][1]
    assert trainer.optimizer is not None
    assert trainer.optimizer.iterations == 0
    trainer.train_on_batch(*points)
    trainer.fit(*points, verbose=0)
    assert same(net, before)
    assert reports(out) == 1


def test_figures_are_those_of_the_module(points: Any) -> None:
    """Without dropout and batch norm, training measures what an evaluation measures."""
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)).requires_grad_(False)
    trainer = Trainer(net, "adam", "cross_entropy", ["accuracy"])
    loss, accuracy = trainer.evaluate(*points, verbose=0)
    history = trainer.fit(*points, epochs=2, verbose=0).history
    assert history["loss"] == pytest.approx([loss, loss], rel=1e-6)
    assert history["accuracy"] == [accuracy, accuracy]
    assert trainer.train_on_batch(*points) == pytest.approx([loss, accuracy], rel=1e-6)


def test_it_is_as_in_keras(points: Any, keras: Any) -> None:
    x, y = points[0].numpy(), points[1].numpy()
    dense = keras.layers.Dense(3)
    theirs = keras.Sequential([keras.Input((8,)), dense])
    theirs.trainable = False
    theirs.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    net = nn.Linear(8, 3).requires_grad_(False)
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(np.asarray(dense.get_weights()[0]).T))
        net.bias.zero_()
    own = Trainer(net, "adam", "cross_entropy", ["accuracy"])
    options = {"epochs": 3, "batch_size": 32, "verbose": 0, "validation_split": 0.25}
    with pytest.warns(UserWarning, match="does not have any trainable weights"):
        expected = theirs.fit(x, y, callbacks=[keras.callbacks.EarlyStopping(patience=1)], **options)
    history = own.fit(*points, callbacks=[EarlyStopping(patience=1)], **options)
    assert history.epoch == expected.epoch == [0, 1]
    for name, values in expected.history.items():
        assert history.history[name] == pytest.approx(values, rel=1e-5)
    assert int(theirs.optimizer.iterations) == own.optimizer.iterations == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_train_batch_begin", "on_train_batch_end"])
@pytest.mark.parametrize("options", [{}, {"ema": 0.9}, {"accumulate": 2}, {"shards": 4}])
def test_what_a_callback_unfreezes_is_trained(points: Any, hook: str, options: dict[str, Any]) -> None:
    net = network()
    trainer, out = frozen_trainer(net, **options)
    before, body = state(net), {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean"}
    calls = {"on_epoch_begin": 1}.get(hook, 7)  # the second epoch

    def unfreeze(number: int, logs: Any = None) -> None:
        nonlocal calls
        if calls == 0:
            assert same(net, before)
            net[4].requires_grad_(True)
        calls -= 1

    trainer.fit(*points, epochs=3, verbose=0, callbacks=[LambdaCallback(**{hook: unfreeze})])
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"4.weight", "4.bias"}
    assert not changed & body
    assert reports(out) == 1
    assert out.getvalue().count("2 parameters are trained from now on: 4.weight, 4.bias") == 1


def test_training_from_the_second_epoch_equals_a_training_that_begins_there(points: Any) -> None:
    one, other = network(), network()
    trainer, _ = frozen_trainer(one)
    free = LambdaCallback(on_epoch_begin=lambda epoch, logs: one.requires_grad_(epoch >= 1))
    torch.manual_seed(1)
    trainer.fit(*points, epochs=1, verbose=0)
    torch.manual_seed(2)
    trainer.fit(*points, epochs=3, initial_epoch=1, verbose=0, callbacks=[free])
    plain = Trainer(other, "adam", "cross_entropy")
    torch.manual_seed(2)
    plain.fit(*points, epochs=3, initial_epoch=1, verbose=0)
    assert same(one, other.state_dict())


def test_everything_is_frozen_in_the_middle_of_an_epoch(points: Any) -> None:
    net, kept = network(), dict[str, torch.Tensor]()
    out = io.StringIO()
    trainer = Trainer(net, "adamw", "cross_entropy", accumulate=2, ema=0.9, screen=PlainScreen(out))

    def freeze(batch: int, logs: Any = None) -> None:
        if batch == 2:
            net.requires_grad_(False)
            kept.update(state(net))

    trainer.fit(*points, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=freeze)])
    assert same(net, kept)
    assert reports(out) == 1
    assert trainer.optimizer is not None
    assert trainer.optimizer.iterations == 1
    net.requires_grad_(True)
    trainer.fit(*points, verbose=0)
    assert not same(net, kept)
    net.requires_grad_(False)
    trainer.fit(*points, verbose=0)
    assert reports(out) == 2


def test_a_list_of_trainable_parameters_that_is_empty(points: Any) -> None:
    """``filter(requires_grad, parameters)`` of a frozen module; torch's optimizers refuse an empty list."""
    net = network().requires_grad_(False)
    trainer = Trainer(net, "adam", "cross_entropy", parameters=(p for p in net.parameters() if p.requires_grad))
    before = state(net)
    trainer.fit(*points, verbose=0)
    assert same(net, before)
    net[4].requires_grad_(True)
    trainer.fit(*points, verbose=0)
    assert not same(net, before)
    with pytest.raises(TrainingError, match="no parameters to train"):
        Trainer(network(), "adam", "cross_entropy", parameters=[])


def test_find_lr_needs_something_to_train(points: Any) -> None:
    trainer, _ = frozen_trainer(network())
    with pytest.raises(
        TrainingError, match=r"nothing to train: all 6 parameters of the module are frozen \(0.weight, "
    ):
        trainer.find_lr(*points)


class Killed(Exception):
    pass


def test_it_resumes_to_the_same_weights(points: Any, tmp_path: Path) -> None:
    def run(folder: Path, killed_at: int) -> dict[str, torch.Tensor]:
        net = network()
        trainer, _ = frozen_trainer(net, ema=0.9, accumulate=2)

        def kill(epoch: int, logs: Any = None) -> None:
            if epoch == killed_at:
                raise Killed

        unfreeze = LambdaCallback(on_epoch_begin=lambda epoch, logs: net[4].requires_grad_(epoch >= 2))
        backup = BackupAndRestore(folder, save_freq=3, delete_checkpoint=False)
        trainer.fit(*points, epochs=4, verbose=0, callbacks=[unfreeze, LambdaCallback(on_epoch_end=kill), backup])
        return state(net)

    expected = run(tmp_path / "whole", -1)
    for at in (1, 3):
        with pytest.raises(Killed):
            run(tmp_path / "cut", at)
    found = run(tmp_path / "cut", -1)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
