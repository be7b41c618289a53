"""What every callback has to be: Keras's signature, a state that comes back, and an error for unknown arguments."""

from __future__ import annotations

import inspect
import json
import pkgutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import regraft.callbacks
from regraft import callbacks
from regraft.callbacks.callback_list import HOOKS
from regraft.training.state_format import flatten, unflatten

BASES = {"Callback", "CallbackList"}
OWN = {"TorchScheduler", "StepSchedule", "WarmupCosine"}  # Keras has no such callback
KERAS = [
    "BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback",
    "LearningRateScheduler", "ModelCheckpoint", "ProgbarLogger", "ReduceLROnPlateau", "RemoteMonitor", "SwapEMAWeights",
    "TensorBoard", "TerminateOnNaN",
]  # fmt: skip
STATELESS = {
    "LambdaCallback", "LearningRateScheduler", "ProgbarLogger", "RemoteMonitor", "SwapEMAWeights", "TerminateOnNaN",
}  # fmt: skip
ALL = sorted(set(callbacks.__all__) - BASES)


def make(name: str, folder: Path) -> Any:
    arguments: dict[str, Any] = {
        "BackupAndRestore": {"backup_dir": folder / "backup"},
        "CSVLogger": {"filename": folder / "log.csv"},
        "EarlyStopping": {"patience": 5, "restore_best_weights": True},
        "LearningRateScheduler": {"schedule": lambda epoch, rate: rate * 0.9},
        "ModelCheckpoint": {"filepath": folder / "model.safetensors", "save_best_only": True, "save_freq": "epoch"},
        "ReduceLROnPlateau": {"patience": 1, "min_delta": 9.0, "cooldown": 1},
        "RemoteMonitor": {"root": "http://127.0.0.1:9"},
        "StepSchedule": {"curve": lambda step, steps: 1 - step / steps},
        "TensorBoard": {"log_dir": folder / "logs", "write_graph": False},
    }
    if name == "TorchScheduler":
        optimizer = torch.optim.SGD(nn.Linear(8, 3).parameters(), lr=0.1)
        return callbacks.TorchScheduler(torch.optim.lr_scheduler.StepLR(optimizer, 1))
    return getattr(callbacks, name)(**arguments.get(name, {}))


def test_all_of_keras_is_here_and_each_in_its_file() -> None:
    assert set(callbacks.__all__) == set(KERAS) | OWN
    assert len(ALL) == 16
    files = [module.name for module in pkgutil.iter_modules(regraft.callbacks.__path__)]
    homes = {getattr(callbacks, name).__module__.rpartition(".")[2] for name in callbacks.__all__}
    assert homes <= set(files)
    assert len(homes) == len(callbacks.__all__) - 1  # WarmupCosine and StepSchedule share a file


@pytest.mark.parametrize("name", KERAS)
def test_signature_is_that_of_keras(keras: Any, name: str) -> None:
    def parameters(cls: Any) -> list[tuple[str, Any, Any]]:
        return [(p.name, p.default, p.kind) for p in list(inspect.signature(cls.__init__).parameters.values())[1:]]

    theirs, own = parameters(getattr(keras.callbacks, name)), parameters(getattr(callbacks, name))
    if name in ("ModelCheckpoint", "TensorBoard", "ProgbarLogger"):  # arguments of older Keras
        assert own.pop()[0] == "kwargs"
    assert own == theirs


@pytest.mark.parametrize("name", KERAS)
def test_hooks_are_those_of_keras(keras: Any, name: str) -> None:
    for hook in (*HOOKS, "set_params", "set_model"):
        theirs = inspect.signature(getattr(getattr(keras.callbacks, name), hook))
        own = inspect.signature(getattr(getattr(callbacks, name), hook))
        plain = [(p.name, p.default, p.kind) for p in own.parameters.values()]
        assert plain == [(p.name, p.default, p.kind) for p in theirs.parameters.values()], hook


@pytest.mark.parametrize("name", sorted(set(ALL) - {"History", "ProgbarLogger"}))
def test_unknown_arguments_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises((TypeError, ValueError), match="patiense"):
        getattr(callbacks, name)(**{"patiense": 3} | _required(name, tmp_path))


def _required(name: str, folder: Path) -> dict[str, Any]:
    given: dict[str, Any] = {
        "BackupAndRestore": {"backup_dir": folder},
        "CSVLogger": {"filename": folder / "log.csv"},
        "LearningRateScheduler": {"schedule": float},
        "ModelCheckpoint": {"filepath": "a.pt"},
        "StepSchedule": {"curve": max},
        "TorchScheduler": {"scheduler": None},
    }
    return dict(given.get(name, {}))


@pytest.mark.parametrize("name", ALL)
def test_state_comes_back(name: str, tmp_path: Path, make_trainer: Any, points: Any) -> None:
    x, y = points
    trainer = make_trainer(ema=0.9)
    callback = make(name, tmp_path)
    if name == "TorchScheduler":
        callback.scheduler = torch.optim.lr_scheduler.StepLR(trainer.optimizer.torch, 1, gamma=0.5)
    trainer.fit(x, y, epochs=3, validation_split=0.25, verbose=0, callbacks=[callback])
    state = callback.state_dict()

    text, tensors = flatten(state, "")  # only figures, texts, lists, dicts and tensors: it can be written anywhere
    json.loads(text)
    again = unflatten(text, tensors)

    other = make(name, tmp_path)
    if name == "TorchScheduler":
        other.scheduler = torch.optim.lr_scheduler.StepLR(make_trainer().optimizer.torch, 1, gamma=0.5)
    other.load_state_dict(again)
    assert flatten(other.state_dict(), "")[0] == text
    for tensor, expected in zip(flatten(other.state_dict(), "")[1].values(), tensors.values(), strict=True):
        assert torch.equal(tensor, expected)
    assert bool(state) == (name not in STATELESS)
    if name != "TorchScheduler":
        with pytest.raises(ValueError, match="has no state named 'foreign'"):
            other.load_state_dict({"foreign": 1})


@pytest.mark.parametrize("name", ALL)
def test_one_object_serves_several_calls(name: str, tmp_path: Path, make_trainer: Any, points: Any) -> None:
    trainer = make_trainer(ema=0.9)
    callback = make(name, tmp_path)
    if name == "TorchScheduler":
        callback.scheduler = torch.optim.lr_scheduler.StepLR(trainer.optimizer.torch, 1, gamma=0.5)
    for _ in range(2):
        history = trainer.fit(*points, epochs=2, validation_split=0.25, verbose=0, callbacks=[callback])
        assert history.epoch == [0, 1]
    trainer.evaluate(*points, verbose=0, callbacks=[callback])
    trainer.predict(points[0], verbose=0, callbacks=[callback])
    callback.close()
    callback.close()
