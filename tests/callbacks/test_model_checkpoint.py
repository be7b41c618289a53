"""Files that are written while training goes on, and read back."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch

from regraft.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, TensorBoard
from regraft.errors import ModelFileError, TrainingError, WeightsError

SUFFIXES = (".safetensors", ".keras", ".h5", ".weights.h5", ".pt")


def same(one: Any, other: Any) -> bool:
    pairs = zip(one.module.state_dict().values(), other.module.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_lesson_runs_as_it_stands(make_trainer: Any, points: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    model, dataset = make_trainer(), torch.utils.data.TensorDataset(*points)
    my_callbacks = [
        EarlyStopping(patience=2),
        ModelCheckpoint(filepath="model.{epoch:02d}-{val_loss:.2f}.h5"),
        TensorBoard(log_dir="./logs"),
    ]
    history = model.fit(dataset, epochs=10, callbacks=my_callbacks, validation_split=0.2)
    files = sorted(path.name for path in tmp_path.glob("*.h5"))
    figures = history.history["val_loss"]
    assert files == [f"model.{i + 1:02d}-{loss:.2f}.h5" for i, loss in enumerate(figures)]
    assert (tmp_path / "logs" / "train").is_dir()
    with h5py.File(tmp_path / files[-1]) as file:
        np.testing.assert_array_equal(file["0/weight"][()], model.module[0].weight.detach().numpy())


@pytest.mark.filterwarnings("ignore:.*regraft's .keras")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_training_goes_on_from_a_file_as_if_it_had_not_stopped(
    suffix: str, optimizer: str, make_trainer: Any, points: Any, tmp_path: Path
) -> None:
    path = tmp_path / "deep" / f"model{suffix}"
    first = make_trainer(optimizer=optimizer, ema=0.9)
    fit = {"verbose": 0, "validation_split": 0.2, "shuffle": False}
    first.fit(*points, **fit, epochs=2, callbacks=[ModelCheckpoint(path)])
    second = make_trainer(optimizer=optimizer, ema=0.9)
    second.load(path)
    # the file is of the end of an epoch; the end of fit has since put the average in the weights
    third = make_trainer(optimizer=optimizer, ema=0.9)
    third.load(path)
    assert same(second, third)
    for trainer in (second, third):
        torch.manual_seed(1)
        trainer.fit(*points, **fit, epochs=3, initial_epoch=2)
    assert same(second, third)
    assert second.optimizer.iterations == first.optimizer.iterations // 2 * 3


@pytest.mark.filterwarnings("ignore:.*regraft's .keras")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_load_weights_reads_every_format(suffix: str, make_trainer: Any, points: Any, tmp_path: Path) -> None:
    one, other = make_trainer(optimizer="sgd"), make_trainer()
    one.fit(*points, verbose=0)
    one.save_weights(tmp_path / f"w{suffix}")
    one.save(tmp_path / f"all{suffix}")
    for name in ("w", "all"):
        other.fit(*points, verbose=0)
        assert not same(one, other)
        other.load_weights(tmp_path / f"{name}{suffix}")
        assert same(one, other)
    with pytest.raises(TrainingError, match="exists; pass overwrite=True"):
        one.save(tmp_path / f"w{suffix}", overwrite=False)


def test_formats_are_what_their_names_say(make_trainer: Any, tmp_path: Path) -> None:
    trainer = make_trainer()
    trainer.save_weights(tmp_path / "a.safetensors")
    trainer.save_weights(tmp_path / "a.pt")
    own = trainer.module.state_dict()
    assert set(safetensors.torch.load_file(tmp_path / "a.safetensors")) == set(own)
    assert set(torch.load(tmp_path / "a.pt", weights_only=True)["tensors"]) == set(own)
    torch.save(own, tmp_path / "plain.pt")
    trainer.load_weights(tmp_path / "plain.pt")


def test_a_keras_file_is_said_to_be_ours_once(make_trainer: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("regraft.training.saving.weights_file._warned", set())
    with pytest.warns(UserWarning, match="contain weights as safetensors, not a Keras archive"):
        make_trainer().save(tmp_path / "a.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_trainer().save(tmp_path / "b.keras")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "b.keras"]


def test_half_precision_and_odd_shapes_come_back(tmp_path: Path) -> None:
    from regraft.training.saving.weights_file import read_weights, write_weights

    tensors = {
        "half": torch.randn(3, 2).half(),
        "brain.weight": torch.randn(4).bfloat16(),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "mask": torch.tensor([True, False]),
        "wide.view": torch.randn(4, 6).T,
    }
    for suffix in SUFFIXES[::2]:
        write_weights(tmp_path / f"t{suffix}", tensors, {"nested": {1: (torch.ones(2), float("nan"), None, "é")}})
        weights, state = read_weights(tmp_path / f"t{suffix}", tensors)
        assert all(torch.equal(weights[name], tensor) for name, tensor in tensors.items())
        assert all(weights[name].dtype is tensor.dtype for name, tensor in tensors.items())
        one, nan, nothing, text = state["nested"][1]
        assert torch.equal(one, torch.ones(2))
        assert (nan != nan, nothing, text) == (True, None, "é")


@pytest.mark.parametrize("suffix", [".safetensors", ".h5", ".pt"])
def test_damaged_and_foreign_files(suffix: str, make_trainer: Any, tmp_path: Path) -> None:
    trainer, path = make_trainer(), tmp_path / f"m{suffix}"
    before = trainer.get_weights()
    with pytest.raises(ModelFileError, match="no such file"):
        trainer.load(path)
    trainer.save(path)
    whole = path.read_bytes()
    for damaged in (b"", b"hello", whole[: len(whole) // 2], whole[:100]):
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match=r"m\.\w+"):
            trainer.load(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, trainer.get_weights(), strict=True))


def test_weights_that_do_not_fit_are_all_named(make_trainer: Any, tmp_path: Path) -> None:
    trainer = make_trainer()
    trainer.save_weights(tmp_path / "m.safetensors")
    trainer.module[3] = torch.nn.Linear(16, 5)
    trainer.module.add_module("more", torch.nn.Linear(5, 1, bias=False))
    with pytest.raises(WeightsError, match="3 problems") as caught:
        trainer.load_weights(tmp_path / "m.safetensors")
    assert "more.weight: missing, expected shape (1, 5)" in str(caught.value)
    assert "3.weight: expected shape (5, 16), found (3, 16)" in str(caught.value)


def test_a_state_of_another_optimizer_is_refused(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    trainer = make_trainer(ema=0.9)
    trainer.fit(*points, verbose=0)
    trainer.save(tmp_path / "m.safetensors")
    with pytest.raises(TrainingError, match="a part 'ema', but the Trainer was made without it"):
        make_trainer().load(tmp_path / "m.safetensors")
    with pytest.raises(TrainingError, match="a part 'optimizer'"):
        make_trainer(optimizer=None, ema=0.9).load(tmp_path / "m.safetensors")


def test_the_last_good_file_stays_until_the_new_one_is_whole(
    make_trainer: Any, points: Any, tmp_path: Path, monkeypatch: Any, said: Any
) -> None:
    path = tmp_path / "best.safetensors"
    trainer = make_trainer()
    trainer.save(path)
    good = path.read_bytes()

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("regraft.training.saving.weights_file.write_blocks", full)
    callback = ModelCheckpoint(path, "loss", save_best_only=True)
    trainer.fit(*points, epochs=2, verbose=0, callbacks=[callback])  # it is said, and training goes on
    assert said.warnings[0].endswith(
        "best.safetensors could not be written: No space left on device; training continues"
    )
    assert callback.best is None
    assert path.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["best.safetensors"]


def test_period_and_options_of_older_lessons(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    callback = ModelCheckpoint(
        str(tmp_path / "{epoch}.pt"), "val_loss", 0, False, True, "auto", "epoch", object(), period=2
    )
    make_trainer().fit(*points, epochs=5, verbose=0, callbacks=[callback])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2.pt", "4.pt"]


def test_best_only_by_batches(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    callback = ModelCheckpoint(tmp_path / "{epoch}-{batch}.pt", "loss", save_best_only=True, save_freq=2)
    make_trainer().fit(*points, epochs=3, batch_size=20, verbose=0, callbacks=[callback])
    assert list(tmp_path.iterdir())  # Keras raises TypeError here


def test_an_epoch_without_validation_writes_no_file_that_is_named_after_it(
    make_trainer: Any, points: Any, tmp_path: Path
) -> None:
    callback = ModelCheckpoint(tmp_path / "{epoch}-{val_loss:.1f}-{lr:.3f}.pt")
    rate = torch.optim.lr_scheduler.ConstantLR
    trainer = make_trainer()
    scheduler = rate(trainer.optimizer.torch, 1.0)
    trainer.fit(*points, epochs=4, verbose=0, validation_split=0.2, validation_freq=2, callbacks=[scheduler, callback])
    assert sorted(p.name[0] for p in tmp_path.iterdir()) == ["2", "4"]
    assert all(p.name.endswith("-0.001.pt") for p in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"filepath": "model.onnx"},
            r"filepath is 'model.onnx'; the suffix is the format: .*for example 'model.safetensors'",
        ),
        ({"filepath": "m.pt", "save_freq": "batch"}, "save_freq is 'batch'; expected 'epoch' or a number"),
        ({"filepath": "m.pt", "save_freq": 1.5}, "save_freq is 1.5"),
        ({"filepath": "{batch}.pt"}, "needs save_freq to be a number of batches"),
        ({"filepath": "{val_loss}.pt", "save_freq": 3}, r"\['val_loss'\] in filepath is known only at the end"),
        ({"filepath": "{epoch.pt"}, "is not a valid template"),
        ({"filepath": "m.pt", "mode": "lowest"}, "mode is 'lowest'"),
        ({"filepath": "m.pt", "save_best": True}, "no argument 'save_best'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        ModelCheckpoint(**arguments)


def test_a_name_that_cannot_be_filled_in(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"\{acuracy\} .* cannot be filled in; did you mean 'accuracy'"):
        make_trainer().fit(*points, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "{acuracy}.pt")])
    with pytest.raises(TrainingError, match=r"ModelCheckpoint has \{val_loss\} in its file name"):
        make_trainer().fit(*points, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "{val_loss}.pt")])


def test_csv_logger_goes_on_below(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for epoch in range(3):
        callback = CSVLogger(path, append=True)
        make_trainer().fit(*points, epochs=epoch + 1, initial_epoch=epoch, verbose=0, callbacks=[callback])
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,accuracy,loss,val_accuracy,val_loss"
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1", "2"]
    assert all(line.endswith(",NA,NA") for line in lines[1:])


@pytest.mark.parametrize("number", [np.float32(0.0), np.float64(0.0), torch.tensor(0.0), 0])
def test_a_threshold_of_any_numeric_type_counts(make_trainer: Any, points: Any, tmp_path: Path, number: Any) -> None:
    callback = ModelCheckpoint(tmp_path / "a.pt", "loss", save_best_only=True, initial_value_threshold=number)
    make_trainer().fit(*points, epochs=2, verbose=0, callbacks=[callback])
    assert not (tmp_path / "a.pt").exists()
    with pytest.raises(TrainingError, match=r"initial_value_threshold is '0\.5'; expected a number"):
        ModelCheckpoint("a.pt", initial_value_threshold="0.5")  # type: ignore[arg-type]
