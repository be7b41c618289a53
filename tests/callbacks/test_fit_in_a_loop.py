"""Files that several calls of ``fit`` write to: rows of a CSV file fit its header, TensorBoard's steps continue."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from regraft.callbacks import BackupAndRestore, Callback, CSVLogger, LambdaCallback, TensorBoard
from regraft.callbacks.csv_logger import size_of_lines, widen
from regraft.errors import TrainingError


def rows_of(path: Path, separator: str = ",") -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(path.read_text()), delimiter=separator))
    assert all(None not in row and None not in row.values() for row in rows)  # each has as many fields as the header
    return rows


def adding(**figures: Any) -> LambdaCallback:
    return LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(figures))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_file_without_some_columns_gets_them(
    separator: str, make_trainer: Any, points: Any, tmp_path: Path, said: Any
) -> None:
    path = tmp_path / "log.csv"
    first = make_trainer(metrics=None).fit(*points, epochs=2, verbose=0, callbacks=[CSVLogger(path, separator)])
    second = make_trainer().fit(
        *points, epochs=2, verbose=0, validation_split=0.2, callbacks=[CSVLogger(path, separator, append=True)]
    )
    rows = rows_of(path, separator)
    assert list(rows[0]) == ["epoch", "loss", "val_loss", "accuracy", "val_accuracy"]
    assert [row["epoch"] for row in rows] == ["0", "1", "0", "1"]
    assert [float(row["loss"]) for row in rows] == first.history["loss"] + second.history["loss"]
    assert [row["accuracy"] for row in rows[:2]] == ["NA", "NA"]
    assert [float(row["val_accuracy"]) for row in rows[2:]] == second.history["val_accuracy"]
    assert said.warnings == [
        f"CSVLogger: {path} had no column for accuracy, val_accuracy; it was added, with NA in earlier lines"
    ]


def test_figures_are_written_below_the_columns_of_the_file(
    make_trainer: Any, points: Any, tmp_path: Path, said: Any
) -> None:
    path = tmp_path / "log.csv"
    trainer = make_trainer()
    trainer.fit(*points, verbose=0, validation_split=0.2, callbacks=[adding(zeal=5), CSVLogger(path)])
    before = path.read_text()
    history = trainer.fit(*points, verbose=0, callbacks=[CSVLogger(path, append=True)])
    assert path.read_text().startswith(before)
    last = rows_of(path)[-1]
    assert float(last["loss"]) == history.history["loss"][-1]
    assert (last["val_loss"], last["zeal"]) == ("NA", "NA")
    assert said.warnings == []


def test_texts_with_separators_and_line_ends_survive(tmp_path: Path, make_trainer: Any, points: Any) -> None:
    path = tmp_path / "log.csv"
    trainer = make_trainer()
    trainer.fit(*points, verbose=0, callbacks=[adding(text='a "b",\nc', each=[1, 2]), CSVLogger(path)])
    trainer.fit(*points, verbose=0, callbacks=[adding(more=1), CSVLogger(path, append=True)])
    first, second = rows_of(path)
    assert (first["text"], first["each"], first["more"]) == ('a "b",\nc', '"[1, 2]"', "NA")
    assert (second["text"], second["more"]) == ("NA", "1")


def test_the_same_object_in_a_loop(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    path, trainer = tmp_path / "log.csv", make_trainer()
    logger = CSVLogger(path, append=True)
    for split in (0.0, 0.2, 0.0):
        trainer.fit(*points, verbose=0, validation_split=split, callbacks=[adding(**{f"x{split}": 1}), logger])
    rows = rows_of(path)
    assert len(rows) == 3
    assert [row["x0.2"] for row in rows] == ["NA", "1", "NA"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epoch;loss\n0;1.0\n", r"begins with 'epoch;loss'; expected a header beginning with 'epoch,'. Pass the sep"),
        ("0,0.5,0.3\n", "begins with '0,0.5,0.3'"),
        ("my notes\n", "begins with 'my notes'"),
    ],
)
def test_a_file_of_another_kind_is_left_alone(
    content: str, message: str, make_trainer: Any, points: Any, tmp_path: Path
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(content)
    trainer = make_trainer()
    with pytest.raises(TrainingError, match=message):
        trainer.fit(*points, verbose=0, callbacks=[CSVLogger(path, append=True)])
    assert path.read_text() == content
    assert trainer.optimizer.iterations == 0


def test_a_line_that_never_fitted_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n0,1.0\n0,0.5,0.6\n")
    with pytest.raises(TrainingError, match=r"line 3 of .*log.csv has 3 fields, and its header 2"):
        widen(str(path), ",", ["more"])
    assert path.read_text() == "epoch,loss\n0,1.0\n0,0.5,0.6\n"
    assert size_of_lines(str(path), 2) == len("epoch,loss\n0,1.0\n")
    assert size_of_lines(str(path), 9) == path.stat().st_size


@pytest.mark.parametrize("fails_in", [0, 1, 2])
def test_columns_that_were_added_survive_an_interruption(
    fails_in: int, make_trainer: Any, points: Any, tmp_path: Path
) -> None:
    class Fail(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if failing and self.model.epoch == fails_in and batch == 2:
                raise ZeroDivisionError

    def run(folder: Path) -> str:
        path = folder / "log.csv"
        given = [CSVLogger(path, append=True), BackupAndRestore(folder / "backup", save_freq=1), Fail()]
        make_trainer().fit(*points, epochs=3, batch_size=30, verbose=0, callbacks=given)
        return path.read_text()

    texts = []
    for name in ("whole", "interrupted"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "log.csv").write_text("epoch,loss\n0,0.75\n1,0.5\n")
        failing = name == "interrupted"
        if failing:
            with pytest.raises(ZeroDivisionError):
                run(folder)
            failing = False
        texts.append(run(folder))
    assert texts[0] == texts[1]
    assert texts[0].startswith("epoch,loss,accuracy\n0,0.75,NA\n1,0.5,NA\n0,")
    assert len(texts[0].splitlines()) == 6


def steps_of(folder: Path, side: str, tag: str) -> list[int]:
    events = EventAccumulator(str(folder / side))
    events.Reload()
    return [event.step for event in events.Scalars(tag)]


@pytest.mark.parametrize("same_object", [True, False])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_tensorboard_counts_over_several_fits(
    same_object: bool, accumulate: int, make_trainer: Any, points: Any, tmp_path: Path
) -> None:
    trainer = make_trainer(accumulate=accumulate)
    board = TensorBoard(tmp_path, update_freq=1, write_graph=False)
    for epochs in (1, 2, 1):
        given = board if same_object else TensorBoard(tmp_path, update_freq=1, write_graph=False)
        trainer.fit(*points, epochs=epochs, batch_size=24, verbose=0, validation_split=0.2, callbacks=[given])
    assert steps_of(tmp_path, "train", "epoch_loss") == [0, 1, 2, 3]
    assert steps_of(tmp_path, "validation", "epoch_accuracy") == [0, 1, 2, 3]
    batches = steps_of(tmp_path, "train", "batch_loss")
    assert len(batches) == 16
    assert batches == sorted(set(batches))
    if accumulate == 1:
        assert batches == list(range(1, 17))
        assert steps_of(tmp_path, "validation", "evaluation_loss_vs_iterations") == [4, 8, 12, 16]


def test_tensorboard_and_initial_epoch_are_kerass(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    """With ``initial_epoch``, as Keras's guide shows it, the numbers are the epochs'."""
    trainer = make_trainer()
    for first in (0, 2, 4):
        board = TensorBoard(tmp_path, write_graph=False)
        trainer.fit(*points, initial_epoch=first, epochs=first + 2, verbose=0, callbacks=[board])
    assert steps_of(tmp_path, "train", "epoch_loss") == [0, 1, 2, 3, 4, 5]


def test_tensorboard_counts_after_an_interruption_in_a_second_fit(
    make_trainer: Any, points: Any, tmp_path: Path
) -> None:
    class Fail(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if failing and epoch == 1:
                raise ZeroDivisionError

    failing, trainer = False, make_trainer()
    trainer.fit(*points, epochs=2, verbose=0, callbacks=[TensorBoard(tmp_path / "logs", write_graph=False)])
    failing = True
    for _ in range(2):
        given = [TensorBoard(tmp_path / "logs", write_graph=False), BackupAndRestore(tmp_path / "backup"), Fail()]
        try:
            trainer.fit(*points, epochs=3, verbose=0, callbacks=given)
        except ZeroDivisionError:
            failing = False
    assert steps_of(tmp_path / "logs", "train", "epoch_loss") == [0, 1, 2, 3, 4]
    trainer.fit(*points, epochs=1, verbose=0, callbacks=[TensorBoard(tmp_path / "logs", write_graph=False)])
    assert steps_of(tmp_path / "logs", "train", "epoch_loss") == [0, 1, 2, 3, 4, 5]


def test_the_profile_is_of_the_batches_of_each_fit(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    trainer = make_trainer()
    trainer.fit(*points, verbose=0)
    board = TensorBoard(tmp_path, write_graph=False, profile_batch=2)
    trainer.fit(*points, verbose=0, callbacks=[board])
    assert list((tmp_path / "train" / "profile").iterdir())
