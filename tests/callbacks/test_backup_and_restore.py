"""Going on after an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from regraft.callbacks import BackupAndRestore, Callback, EarlyStopping, LambdaCallback, ReduceLROnPlateau, WarmupCosine
from regraft.errors import ModelFileError, TrainingError


class Interrupted(Exception):
    pass


def at(epoch: int, hook: str = "on_epoch_begin") -> LambdaCallback:
    def stop(number: int, logs: Any) -> None:
        if number == epoch:
            raise Interrupted

    return LambdaCallback(**{hook: stop})


def callbacks(folder: Path, schedule: bool) -> list[Any]:
    shared = [EarlyStopping(patience=3, min_delta=0.01, restore_best_weights=True), BackupAndRestore(folder)]
    return [*shared, WarmupCosine(0.2) if schedule else ReduceLROnPlateau(patience=1, min_delta=0.02, factor=0.5)]


@pytest.mark.parametrize("schedule", [False, True])
@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_epoch_end"])
def test_interrupted_training_ends_with_the_same_weights(
    schedule: bool, hook: str, make_trainer: Any, points: Any, tmp_path: Path
) -> None:
    fit = {"epochs": 12, "verbose": 0, "validation_split": 0.25, "batch_size": 16}
    options = {"ema": 0.8, "learning_rate": 0.02}
    whole = make_trainer(**options)
    torch.manual_seed(5)
    expected = whole.fit(*points, **fit, callbacks=callbacks(tmp_path / "a", schedule))

    for epoch in (1, 2, 3):
        trainer = make_trainer(**options)
        torch.manual_seed(5 if epoch == 1 else 99)  # a new process has another state of the generator
        with pytest.raises(Interrupted):
            trainer.fit(*points, **fit, callbacks=[*callbacks(tmp_path / "b", schedule), at(epoch, hook)])
    trainer = make_trainer(**options)
    found = trainer.fit(*points, **fit, callbacks=callbacks(tmp_path / "b", schedule))

    assert found.history == expected.history
    assert found.epoch == expected.epoch
    assert found.stop_reason == expected.stop_reason
    pairs = zip(whole.module.state_dict().values(), trainer.module.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not (tmp_path / "b").exists()


def test_a_training_that_was_stopped_is_not_begun_again(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    def fail(logs: Any) -> None:
        raise Interrupted

    fit = {"epochs": 9, "verbose": 0}
    stop = {"monitor": "loss", "patience": 1, "min_delta": 9.0}
    with pytest.raises(Interrupted):
        given = [LambdaCallback(on_train_end=fail), EarlyStopping(**stop), BackupAndRestore(tmp_path)]
        make_trainer().fit(*points, **fit, callbacks=given)
    history = make_trainer().fit(*points, **fit, callbacks=[EarlyStopping(**stop), BackupAndRestore(tmp_path)])
    assert history.epoch == [0, 1]
    assert str(history.stop_reason).startswith("EarlyStopping: loss has not improved")


def test_the_state_before_is_used_where_the_last_is_damaged(
    make_trainer: Any, points: Any, tmp_path: Path, said: Any
) -> None:
    for double in (False, True):
        with pytest.raises(Interrupted):
            given = [BackupAndRestore(tmp_path, double_checkpoint=double), at(3)]
            make_trainer().fit(*points, epochs=5, verbose=0, callbacks=given)
        latest = tmp_path / BackupAndRestore.LATEST
        latest.write_bytes(latest.read_bytes()[:-50])
        if not double:
            with pytest.raises(ModelFileError, match=r"latest.safetensors is damaged"):
                make_trainer().fit(*points, epochs=5, verbose=0, callbacks=[BackupAndRestore(tmp_path)])
            latest.unlink()
    seen: list[int] = []
    watch = LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(epoch))
    make_trainer().fit(*points, epochs=5, verbose=0, callbacks=[BackupAndRestore(tmp_path), watch])
    assert seen == [2, 3, 4]
    assert "resuming from the previous state" in said.warnings[0]


def test_the_state_stays_if_it_is_to_stay(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    (tmp_path / "of the user.txt").write_text("stays")
    for delete in (False, True):
        callback = BackupAndRestore(tmp_path, save_freq=2, delete_checkpoint=delete)
        make_trainer().fit(*points, epochs=2, verbose=0, callbacks=[callback])
        names = sorted(p.name for p in tmp_path.iterdir())
        assert names == (["of the user.txt"] if delete else ["latest.safetensors", "of the user.txt"])


class Countdown(Callback):
    """A callback of a user, without a state of its own."""

    def __init__(self, limit: int, weights: list[Any]) -> None:
        super().__init__()
        self.limit = limit
        self.weights = weights
        self.count = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.count += 1


def test_new_settings_of_a_callback_hold_when_the_training_is_resumed(
    make_trainer: Any, points: Any, tmp_path: Path
) -> None:
    first = Countdown(3, [torch.ones(2)])
    with pytest.raises(Interrupted):
        make_trainer().fit(*points, epochs=5, verbose=0, callbacks=[first, BackupAndRestore(tmp_path), at(2)])
    second = Countdown(8, [torch.zeros(3)])
    make_trainer().fit(*points, epochs=5, verbose=0, callbacks=[second, BackupAndRestore(tmp_path)])
    assert second.limit == 8
    assert second.weights[0].shape == (3,)
    assert second.count == 5


def test_a_state_of_other_callbacks_is_refused(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        given = [BackupAndRestore(tmp_path), EarlyStopping("loss"), at(2)]
        make_trainer().fit(*points, epochs=3, verbose=0, callbacks=given)
    with pytest.raises(TrainingError, match=r"belongs to other callbacks: it has \['EarlyStopping-0'\]"):
        make_trainer().fit(*points, epochs=3, verbose=0, callbacks=[BackupAndRestore(tmp_path)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"backup_dir": ""}, "backup_dir is empty"), ({"backup_dir": "a", "save_freq": "batch"}, "save_freq is 'batch'"),
     ({"backup_dir": "a", "save_freq": 0}, "save_freq is 0")],
)  # fmt: skip
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        BackupAndRestore(**arguments)
