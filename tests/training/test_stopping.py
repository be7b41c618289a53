"""Ends of ``fit`` that come early, compared with Keras; epochs that are none; classes without samples; the screen."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from regraft.callbacks import Callback, LambdaCallback
from regraft.errors import TrainingError
from regraft.screen import PlainScreen
from regraft.training import Trainer

HOOKS = (
    "on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_test_begin", "on_test_end",
    "on_epoch_end",
)  # fmt: skip


def recording(base: type, events: list[Any], stop_in: str | None) -> Any:
    """Return a callback that notes every hook, and stops training in one of them."""

    def hook(name: str) -> Any:
        def noted(self: Any, *args: Any, **kwargs: Any) -> None:
            place = args[0] if args and isinstance(args[0], int) else None
            logs = kwargs.get("logs", args[-1] if args and isinstance(args[-1], dict) else {})
            events.append((name, place, sorted(logs or {})))
            if name == stop_in:
                self.model.stop_training = True

        return noted

    return type("Recording", (base,), {name: hook(name) for name in (*HOOKS, "on_train_end")})()


@pytest.mark.parametrize("stop_in", HOOKS)
@pytest.mark.parametrize("validated", [False, True])
def test_events_after_a_stop_are_those_of_keras(keras: Any, stop_in: str, validated: bool) -> None:
    x, y = np.ones((40, 3), np.float32), np.ones((40, 1), np.float32)
    found = []
    for base in (keras.callbacks.Callback, Callback):
        if base is Callback:
            model: Any = Trainer(nn.Linear(3, 1), "sgd", "mse")
        else:
            model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
        events: list[Any] = []
        history = model.fit(
            x, y, epochs=3, verbose=0, batch_size=16, validation_data=(x, y) if validated else None,
            callbacks=[recording(base, events, stop_in)],
        )  # fmt: skip
        found.append((events, history.epoch, sorted(history.history)))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "epochs", [{"epochs": 0}, {"epochs": 2, "initial_epoch": 2}, {"epochs": 2, "initial_epoch": 5}]
)
def test_no_epochs_at_all(keras: Any, points: Any, epochs: dict[str, int]) -> None:
    events: list[Any] = []
    trainer = Trainer(nn.Linear(8, 3), "sgd", "cross_entropy")
    history = trainer.fit(*points, verbose=0, callbacks=[recording(Callback, events, None)], **epochs)
    model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    expected: list[Any] = []
    other = model.fit(
        points[0].numpy(), points[1].numpy(), verbose=0,
        callbacks=[recording(keras.callbacks.Callback, expected, None)], **epochs,
    )  # fmt: skip
    assert events == expected == [("on_train_begin", None, []), ("on_train_end", None, [])]
    assert history.history == other.history == {}


def test_a_finished_training_that_is_resumed_trains_no_batch(points: Any, tmp_path: Any) -> None:
    def run() -> tuple[int, Any]:
        trainer = Trainer(nn.Linear(8, 3), "sgd", "cross_entropy")
        batches: list[int] = []
        stop = LambdaCallback(
            on_train_batch_begin=lambda batch, logs: batches.append(batch),
            on_epoch_end=lambda epoch, logs: setattr(trainer, "stop_training", epoch == 1),
        )
        return len(batches), trainer.fit(*points, epochs=5, verbose=0, callbacks=[stop], resume=tmp_path).epoch

    assert run()[1] == [0, 1]
    assert run() == (0, [0, 1])


@pytest.mark.parametrize("frequency", [0, -1, "2", 1.5, None])
def test_a_wrong_validation_freq_is_found_before_the_first_step(points: Any, frequency: Any) -> None:
    batches: list[int] = []
    look = LambdaCallback(on_train_batch_begin=lambda batch, logs: batches.append(batch))
    with pytest.raises(TrainingError, match=r"validation_freq is .*; expected a whole number or a list of epochs"):
        Trainer(nn.Linear(8, 3), "sgd", "cross_entropy").fit(
            *points, verbose=0, validation_split=0.2, validation_freq=frequency, callbacks=[look]
        )
    assert batches == []


@pytest.mark.parametrize("frequency", [2, np.int64(2), [2, 4], (2, 4), {2, 4}, np.array([2, 4])])
def test_validation_freq_in_all_forms(points: Any, frequency: Any) -> None:
    tested: list[int] = []
    trainer = Trainer(nn.Linear(8, 3), "sgd", "cross_entropy")
    look = LambdaCallback(on_test_begin=lambda logs: tested.append(trainer.epoch + 1))
    trainer.fit(*points, epochs=5, verbose=0, validation_split=0.2, validation_freq=frequency, callbacks=[look])
    assert tested == [2, 4]


def numbered(classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(60, 8), torch.arange(60) % classes


@pytest.mark.parametrize(
    ("outputs", "classes", "said"),
    [(1000, 3, 1), (5, 3, 1), (10, 4, 1), (4, 3, 0), (3, 3, 0), (2, 1, 0), (10, 8, 0)],
)
@pytest.mark.parametrize("form", ["arrays", "column", "loader", "generator"])
def test_a_head_that_was_not_replaced(outputs: int, classes: int, said: int, form: str) -> None:
    x, y = numbered(classes)
    y = y[:, None] if form == "column" else y
    dataset = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(dataset, batch_size=20)
    data = {"loader": (loader,), "generator": ([(x, y)],)}.get(form, (x, y))
    trainer = Trainer(nn.Linear(8, outputs), "sgd", "cross_entropy", screen=PlainScreen(out := io.StringIO()))
    trainer.fit(*data, epochs=3, verbose=0)
    trainer.fit(*data, epochs=1, verbose=0)
    text = f"the module has {outputs:,} outputs, and the targets have {classes} classes: was the head replaced?"
    assert out.getvalue().count(text) == said
    assert out.getvalue().count("\n") == said


def test_targets_that_are_no_class_numbers_are_not_counted() -> None:
    x, _ = numbered(3)
    for loss, target, outputs in (
        ("mse", torch.randn(60, 9), 9),
        ("bce_with_logits", torch.zeros(60, 9), 9),
        ("bce_with_logits", torch.zeros(60, 1), 1),
        ("cross_entropy", torch.full((60, 9), 1 / 9), 9),
        (lambda output, target: output.square().mean(), torch.zeros(60), 9),
    ):
        trainer = Trainer(nn.Linear(8, outputs), "sgd", loss, screen=PlainScreen(out := io.StringIO()))
        trainer.fit(x, target, verbose=0)
        assert out.getvalue() == ""


@pytest.mark.parametrize("verbose", [1, 2])
def test_the_screen_follows_redirection(points: Any, verbose: int) -> None:
    trainer = Trainer(nn.Linear(8, 3), "sgd", "cross_entropy")
    with contextlib.redirect_stdout(io.StringIO()) as first:
        trainer.fit(*points, verbose=verbose)
        trainer.evaluate(*points, verbose=verbose)
    with contextlib.redirect_stdout(io.StringIO()) as second:
        trainer.fit(*points, verbose=verbose)
    assert first.getvalue().count("loss") == 2
    assert second.getvalue().count("loss") == 1


def test_the_screen_of_a_trainer_made_under_redirection(points: Any, capsys: Any) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        trainer = Trainer(nn.Linear(8, 3), "sgd", "cross_entropy")
    stream.close()
    trainer.fit(*points, verbose=2)
    assert "loss" in capsys.readouterr().out


def test_a_terminal_gets_a_bar_and_a_file_lines(points: Any, monkeypatch: Any) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")  # a dumb terminal gets lines, too
    trainer = Trainer(nn.Linear(8, 3), "sgd", "cross_entropy")
    for stream in (Terminal(), io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stdout", stream)
        trainer.fit(*points, verbose=1)
        assert ("\x1b[" in stream.getvalue()) == isinstance(stream, Terminal)
        assert "loss" in stream.getvalue()


def test_plain_lines_go_where_standard_output_goes_now() -> None:
    screen = PlainScreen()
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        screen.line("photos", "12")
    assert stream.getvalue() == "photos   12\n"
