"""Mistakes that are found before the first step, or at the end of the first epoch, and never pass in silence."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from regraft import callbacks as ours
from regraft.callbacks import (
    BackupAndRestore,
    Callback,
    CallbackList,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgbarLogger,
    ReduceLROnPlateau,
    TensorBoard,
    TorchScheduler,
)
from regraft.callbacks import callback as callback_module
from regraft.errors import TrainingError


class Steps(Callback):
    """Counts the batches."""

    display = True
    batches = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.batches += 1


def plateau(trainer: Any, monitor: str) -> Any:
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(trainer.optimizer.torch, patience=1)
    return TorchScheduler(scheduler, monitor=monitor)


MONITORS: dict[str, Any] = {
    "EarlyStopping": lambda source, monitor, trainer: source.EarlyStopping(monitor, mode="max"),
    "ModelCheckpoint": lambda source, monitor, trainer: source.ModelCheckpoint(
        "best.weights.h5", monitor, save_best_only=True, save_weights_only=True, mode="max"
    ),
    "ReduceLROnPlateau": lambda source, monitor, trainer: source.ReduceLROnPlateau(monitor, mode="max"),
    "TorchScheduler": lambda source, monitor, trainer: plateau(trainer, monitor),
}


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize(("monitor", "near"), [("val_acc", "val_accuracy"), ("val_los", "val_loss"), ("los", "loss")])
@pytest.mark.parametrize(
    ("source", "name"), [("ours", name) for name in MONITORS] + [("keras", n) for n in list(MONITORS)[:3]]
)
def test_a_misspelt_monitor(
    keras: Any, source: str, name: str, monitor: str, near: str, validation: bool, make_trainer: Any, points: Any
) -> None:
    trainer, steps = make_trainer(), Steps()
    callback = MONITORS[name](ours if source == "ours" else keras.callbacks, monitor, trainer)
    message = f"{name} monitors '{monitor}', which does not exist; there are .*did you mean .*'{near}'"
    with pytest.raises(TrainingError, match=message):
        trainer.fit(*points, verbose=0, validation_split=0.2 if validation else 0.0, callbacks=[callback, steps])
    assert trainer.optimizer.iterations == 0
    assert steps.batches == 0


@pytest.mark.parametrize("validation", [True, False])
def test_a_figure_that_another_callback_adds_can_be_monitored(validation: bool, make_trainer: Any, points: Any) -> None:
    def add(epoch: int, logs: Any) -> None:
        logs["val_mine"] = 1.0 + epoch

    stop = EarlyStopping("val_mine", mode="min", patience=2)
    split = 0.2 if validation else 0.0
    history = make_trainer().fit(
        *points, epochs=9, verbose=0, validation_split=split, callbacks=[LambdaCallback(on_epoch_end=add), stop]
    )
    assert len(history.epoch) == 3


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau", "TorchScheduler", "ModelCheckpoint"])
def test_where_another_callback_might_add_it_the_first_epoch_tells(
    name: str, validation: bool, make_trainer: Any, points: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = make_trainer()
    other = LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    callback = MONITORS[name](ours, "val_acc", trainer)
    with pytest.raises(TrainingError, match=r"monitors 'val_acc', which does not exist.*did you mean .*'val_accuracy'"):
        trainer.fit(
            *points, epochs=3, verbose=0, batch_size=30, validation_split=0.25 if validation else 0.0,
            callbacks=[other, callback],
        )  # fmt: skip
    assert trainer.optimizer.iterations == (3 if validation else 4)  # one epoch
    assert not list(tmp_path.iterdir())


def test_a_figure_that_holds_several_numbers(make_trainer: Any, points: Any) -> None:
    def add(epoch: int, logs: Any) -> None:
        logs["each"] = np.array([0.5, 0.25])

    with pytest.raises(TrainingError, match=r"monitors 'each', which is not one number: \[0\.5"):
        make_trainer().fit(
            *points, verbose=0, callbacks=[LambdaCallback(on_epoch_end=add), EarlyStopping("each", mode="min")]
        )


def test_keras_checkpoint_that_saves_every_epoch_needs_no_validation(
    keras: Any, make_trainer: Any, points: Any, tmp_path: Path
) -> None:
    path = tmp_path / "all.weights.h5"
    callback = keras.callbacks.ModelCheckpoint(str(path), save_weights_only=True)  # monitors val_loss, unused
    make_trainer().fit(*points, verbose=0, callbacks=[callback])
    assert path.exists()


@pytest.mark.parametrize(("name", "rows"), [("EarlyStopping", 4), ("ReduceLROnPlateau", 6)])
def test_keras_objects_learn_the_direction_of_a_metric(
    keras: Any, name: str, rows: int, make_trainer: Any, points: Any
) -> None:
    histories = []
    for source in (keras.callbacks, ours):
        callback = getattr(source, name)("val_accuracy", patience=1)  # mode="auto"
        torch.manual_seed(1)
        histories.append(
            make_trainer(optimizer="sgd", learning_rate=0.3)
            .fit(*points, epochs=6, verbose=0, validation_split=0.3, callbacks=[callback])
            .history
        )
    assert histories[0] == histories[1]
    assert len(histories[0]["loss"]) >= 2


def test_validation_that_never_comes(make_trainer: Any, points: Any) -> None:
    with pytest.raises(TrainingError, match="validation_freq is 5, and fit ends with epoch 3: there would be no valid"):
        make_trainer().fit(*points, epochs=3, verbose=0, validation_split=0.2, validation_freq=5)


NEVER: list[Any] = [
    ({"save_freq": 3, "save_best_only": True}, "save_freq=3 with save_best_only=True would never save.*monitor='loss'"),
    ({"save_freq": 3, "save_best_only": True, "monitor": "val_accuracy"}, "'val_accuracy' is known only at the end of"),
    ({"save_freq": 0}, "save_freq is 0"),
    ({"save_freq": -1}, "save_freq is -1"),
    ({"save_freq": "batch"}, "save_freq is 'batch'"),
    ({"period": 0}, "period is 0; expected a number of epochs"),
    ({"filepath": "{val_loss}.pt", "save_freq": 2}, "known only at the end of an epoch"),
]


@pytest.mark.parametrize(("arguments", "message"), NEVER)
def test_a_checkpoint_that_could_never_save(arguments: dict[str, Any], message: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(TrainingError, match=message):
            ModelCheckpoint(**{"filepath": "a.pt"} | arguments)


def test_the_way_shown_saves(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    path = tmp_path / "{epoch}-{batch}.pt"
    best = ModelCheckpoint(path, monitor="loss", save_freq=2, save_best_only=True)
    make_trainer().fit(*points, epochs=2, batch_size=20, verbose=0, callbacks=[best])
    assert [p.name for p in sorted(tmp_path.iterdir())][:1] == ["1-2.pt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"save_freq": 100}, "save_freq is 100 batches, and fit has 8: nothing will be saved"),
        ({"period": 4}, "period is 4 epochs, and fit has 2: nothing will be saved"),
        (
            {"monitor": "loss", "save_best_only": True, "initial_value_threshold": 0.0, "mode": "min"},
            "nothing was saved: 'loss' never improved on 0, the initial_value_threshold",
        ),
        ({"monitor": "nan", "save_best_only": True, "mode": "min"}, "nothing was saved: 'nan' never was a number"),
    ],
)
def test_a_fit_in_which_nothing_is_saved_says_so(
    arguments: dict[str, Any], message: str, make_trainer: Any, points: Any, tmp_path: Path, said: Any
) -> None:
    def add(epoch: int, logs: Any) -> None:
        logs["nan"] = float("nan")

    given = [LambdaCallback(on_epoch_end=add), ModelCheckpoint(tmp_path / "a.pt", **arguments)]
    make_trainer().fit(*points, epochs=2, batch_size=30, verbose=0, callbacks=given)
    assert not list(tmp_path.iterdir())
    assert said.warnings == [f"ModelCheckpoint: {message}"]


@pytest.mark.parametrize("name", ["a.hdf5", "a.HDF5", "a.pth", "a.ckpt", "a.bin", "a.PT", "a.pth.tar", "a.Keras"])
@pytest.mark.parametrize("whole", [True, False])
def test_suffixes_of_other_lessons(name: str, whole: bool, make_trainer: Any, points: Any, tmp_path: Path) -> None:
    trainer = make_trainer()
    callback = ModelCheckpoint(tmp_path / name, save_weights_only=not whole)
    trainer.fit(*points, verbose=0, callbacks=[callback])
    data = (tmp_path / name).read_bytes()
    if "5" in name:
        assert data.startswith(b"\x89HDF")
    elif "eras" not in name:
        assert data.startswith(b"PK")  # a file of torch.save
        assert isinstance(torch.load(tmp_path / name, weights_only=True), dict)
    again = make_trainer()
    again.load(tmp_path / name)
    assert all(map(np.array_equal, again.get_weights(), trainer.get_weights()))
    assert again.optimizer.iterations == (4 if whole else 0)


def test_a_plain_state_dict_with_any_suffix_of_torch_is_read(make_trainer: Any, tmp_path: Path) -> None:
    trainer, again = make_trainer(), make_trainer()
    with torch.no_grad():
        trainer.module[0].weight += 1
    for name in ("a.pth", "a.bin", "a.ckpt"):
        torch.save(trainer.module.state_dict(), tmp_path / name)
        again.load_weights(tmp_path / name)
        assert all(map(np.array_equal, again.get_weights(), trainer.get_weights()))


@pytest.mark.parametrize("name", ["data/checkpoint", "model.onnx", "model", ".h5", "weights.{epoch:02d}"])
def test_no_known_suffix(name: str, make_trainer: Any) -> None:
    with pytest.raises(TrainingError, match=r"the suffix is the format: .safetensors .*; for example '.*safetensors'"):
        ModelCheckpoint(name)
    with pytest.raises(TrainingError, match="the suffix is the format"):
        make_trainer().save(name)


@pytest.mark.parametrize("given", [None, "", 3])
def test_backup_without_a_folder(given: Any) -> None:
    with pytest.raises(TrainingError, match=r"backup_dir is (None|empty|3); expected a folder"):
        BackupAndRestore(given)


@pytest.mark.parametrize(
    ("kind", "required", "older"),
    [
        (ModelCheckpoint, {"filepath": "a.pt"}, {"period": 2, "options": None, "save_format": "tf"}),
        (ReduceLROnPlateau, {}, {"epsilon": 0.5}),
        (
            TensorBoard,
            {"log_dir": "logs"},
            {"batch_size": 32, "write_grads": True, "embeddings_layer_names": None, "embeddings_data": None},
        ),
        (ProgbarLogger, {}, {"count_mode": "samples", "stateful_metrics": ["loss"]}),
    ],
)
def test_arguments_of_older_keras_are_reported_once(
    kind: Any, required: dict[str, Any], older: dict[str, Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr(callback_module, "_warned", set())
    with pytest.warns(UserWarning, match=f"{kind.__name__}: the argument") as caught:
        kind(**required, **older)
    told = [str(one.message) for one in caught]
    assert len(told) == len(older)
    assert all(f"'{name}' of older Keras" in text for name, text in zip(older, told, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind(**required, **older)
    with pytest.raises(TrainingError, match="takes no argument 'periode'"):
        kind(**required, periode=1)


def test_the_older_arguments_act(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = ModelCheckpoint(tmp_path / "{epoch}.pt", period=2)
        assert abs(ReduceLROnPlateau("loss", epsilon=0.5).min_delta) == 0.5
    make_trainer().fit(*points, epochs=5, verbose=0, callbacks=[every])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2.pt", "4.pt"]


def test_orbax_shows_the_way() -> None:
    from regraft.callbacks import OrbaxCheckpoint

    with pytest.raises(TrainingError, match=r"OrbaxCheckpoint is not available: .*BackupAndRestore"):
        OrbaxCheckpoint("folder")
    assert "OrbaxCheckpoint" not in ours.__all__


@pytest.mark.parametrize("name", ["TensorBoard", "SwapEMAWeights", "BackupAndRestore"])
def test_callbacks_that_need_a_keras_model_name_ours(
    keras: Any, name: str, make_trainer: Any, points: Any, tmp_path: Path
) -> None:
    kind = getattr(keras.callbacks, name)
    callback = kind() if name == "SwapEMAWeights" else kind.__new__(kind)
    with pytest.raises(TrainingError, match=rf"keras.callbacks.{name} .*; use {name} of regraft.callbacks"):
        make_trainer().fit(*points, verbose=0, callbacks=[callback])


def test_the_same_object_twice(make_trainer: Any, points: Any) -> None:
    stop, trainer = EarlyStopping("loss"), make_trainer()
    with pytest.raises(TrainingError, match="contains the same EarlyStopping twice"):
        trainer.fit(*points, verbose=0, callbacks=[stop, [stop]])
    scheduler = torch.optim.lr_scheduler.StepLR(trainer.optimizer.torch, 1)
    with pytest.raises(TrainingError, match="contains the same StepLR twice"):
        trainer.fit(*points, verbose=0, callbacks=[scheduler, scheduler])
    with pytest.raises(TrainingError, match="contains the class EarlyStopping; expected an instance"):
        trainer.fit(*points, verbose=0, callbacks=EarlyStopping)


def test_shapes_that_callbacks_may_be_given_in(make_trainer: Any, points: Any) -> None:
    def stop() -> EarlyStopping:
        return EarlyStopping("loss", patience=0, min_delta=9.0)

    shapes: list[Any] = [stop(), (stop(),), [None, stop()], {"a": stop()}, (one for one in [stop()]), {stop()}]
    for given in shapes:
        assert len(make_trainer().fit(*points, epochs=5, verbose=0, callbacks=given).epoch) == 2
    assert CallbackList(None).callbacks == []


@pytest.mark.parametrize("given", [1, None, "0.1", np.array(0.1), torch.tensor(0.1), lambda step: 0.1])
def test_schedules_return_a_float(keras: Any, given: Any, make_trainer: Any, points: Any) -> None:
    """As in Keras, which refuses the same."""
    hint = r"return float\(" if given is not None and not callable(given) else "return a float"
    with pytest.raises(TrainingError, match=f"must return a float: {hint}"):
        make_trainer().fit(*points, verbose=0, callbacks=[LearningRateScheduler(lambda epoch: given)])
    theirs = keras.callbacks.LearningRateScheduler(lambda epoch: given)
    with pytest.raises(ValueError, match="should be a float"):
        make_trainer().fit(*points, verbose=0, callbacks=[theirs])


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -0.1])
def test_rates_that_would_ruin_the_weights(rate: float, make_trainer: Any, points: Any) -> None:
    with pytest.raises(TrainingError, match=r"the learning rate is .*; expected a finite number of 0 or more"):
        make_trainer().fit(*points, verbose=0, callbacks=[LearningRateScheduler(lambda epoch: rate)])


def test_callbacks_can_be_copied(make_trainer: Any, points: Any) -> None:
    """Keras Tuner copies the callbacks for each trial."""
    given = [EarlyStopping("loss", patience=1), ReduceLROnPlateau("loss"), ModelCheckpoint("a.pt", monitor="loss")]
    copies = copy.deepcopy(given[:2])
    assert len(make_trainer().fit(*points, epochs=3, verbose=0, callbacks=copies).epoch) == 3
    assert given[0].best is None
