"""Arguments and surroundings that a Trainer meets in scripts written for others."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from regraft.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from regraft.errors import TrainingError
from regraft.training import Trainer

X = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


class Tee:
    """A stand-in for standard output with ``write`` and ``flush`` alone."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass


def trainer(**options):
    return Trainer(nn.Linear(4, 2), "sgd", "cross_entropy", **options)


def test_a_stand_in_for_standard_output_gets_the_lines(monkeypatch):
    model, tee = trainer(), Tee()
    monkeypatch.setattr(sys, "stdout", tee)
    model.fit(X, Y, epochs=2, verbose=2)
    assert tee.text.count("loss") == 2


def test_a_program_without_a_console_trains(monkeypatch):
    model = trainer()
    monkeypatch.setattr(sys, "stdout", None)
    assert len(model.fit(X, Y, epochs=2).history["loss"]) == 2


def test_a_module_that_is_frozen_when_the_trainer_is_made_trains_what_is_unfrozen_later():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).requires_grad_(False)
    model = Trainer(net, "adam", "cross_entropy")
    model.fit(X, Y, verbose=0)
    net[2].requires_grad_(True)
    body, head = net[0].weight.clone(), net[2].weight.clone()
    model.fit(X, Y, verbose=0)
    assert torch.equal(net[0].weight, body)
    assert not torch.equal(net[2].weight, head)


def test_the_attribute_trainable_of_a_torch_module_is_warned_about(capsys):
    net = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    net[0].trainable = False
    Trainer(net, "sgd", "cross_entropy").fit(X, Y, epochs=2, verbose=0)
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("trainable = False on a torch module freezes nothing") == 1


def test_a_schedule_as_learning_rate_is_refused(keras):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    with pytest.raises(TrainingError, match=r"learning_rate is a ExponentialDecay; expected a number\n.*callback"):
        trainer(learning_rate=schedule)


@pytest.mark.parametrize("given", [torch.optim.LBFGS, partial(torch.optim.LBFGS, max_iter=5)])
def test_an_optimizer_that_needs_a_closure_is_refused(given):
    with pytest.raises(TrainingError, match="LBFGS computes the loss several times for each update"):
        Trainer(nn.Linear(4, 2), given, "cross_entropy")


@pytest.mark.parametrize("loss", ["binary_cross_entropy", nn.BCELoss()])
def test_binary_targets_in_double_precision_give_the_same_loss(loss):
    net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    model, targets = Trainer(net, "sgd", loss), Y[:, None]
    assert model.evaluate(X, targets.double(), verbose=0) == model.evaluate(X, targets.float(), verbose=0)


@pytest.mark.parametrize("loss", ["multilabel_soft_margin_loss", nn.SoftMarginLoss()])
def test_losses_of_margins_take_logits(loss):
    z = torch.tensor([[0.3], [0.4], [-0.2], [-3.0]])
    y = torch.where(z > 0, 1.0, -1.0 if isinstance(loss, nn.SoftMarginLoss) else 0.0)
    assert Trainer(nn.Identity(), None, loss, ["binary_accuracy"]).evaluate(z, y, verbose=0)[1] == 1.0


def test_a_log_whose_last_line_was_cut_is_continued_on_a_line_of_its_own(tmp_path):
    log = tmp_path / "log.csv"
    trainer().fit(X, Y, verbose=0, callbacks=[CSVLogger(log)])
    log.write_text(log.read_text().rstrip("\r\n"))
    trainer().fit(X, Y, verbose=0, callbacks=[CSVLogger(log, append=True)])
    lines = log.read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "0"]


@pytest.mark.parametrize(
    ("method", "argument", "hint"),
    [
        ("fit", "workers", r"DataLoader\(dataset, batch_size=32, num_workers=4\)"),
        ("fit", "nb_epoch", "use epochs"),
        ("fit", "batchsize", "batch_size"),
        ("evaluate", "use_multiprocessing", "num_workers"),
        ("predict", "max_queue_size", "num_workers"),
    ],
)
def test_unknown_arguments_name_their_replacement(method, argument, hint):
    trainer = Trainer(nn.Linear(4, 2), "sgd", "cross_entropy")
    with pytest.raises(TypeError, match=rf"{method} has no argument '{argument}'.*{hint}"):
        getattr(trainer, method)(torch.zeros(4, 4), **{argument: 2})


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (1, 1), (2, 1), ("auto", 1)])
def test_predict_prints_a_line_like_evaluate(verbose, lines, capsys):
    trainer = Trainer(nn.Linear(4, 2), "sgd", "mse")
    trainer.predict(torch.zeros(8, 4), batch_size=4, verbose=verbose)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == lines
    assert all("predict" in line and "2 batches" in line for line in printed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; expected a whole number of 1 or more"),
        ({"batch_size": -4}, "batch_size is -4; expected"),
        ({"batch_size": "8"}, "batch_size is '8'; expected a whole number"),
        ({"batch_size": True}, "batch_size is True; expected a whole number"),
        ({"steps_per_epoch": 32 / 5}, "the number of steps is 6.4; expected a whole number: a // b divides"),
        ({"steps_per_epoch": 0}, "the number of steps is 0; expected a whole number of 1 or more"),
        ({"validation_data": (X, Y), "validation_steps": 0}, "validation_steps is 0; expected"),
        ({"validation_data": (X, Y), "validation_batch_size": 0}, "validation_batch_size is 0; expected"),
        ({"epochs": 1.5}, "epochs is 1.5; expected a whole number"),
        ({"epochs": "2"}, "epochs is '2'; expected a whole number"),
        ({"initial_epoch": None}, "initial_epoch is None; expected a whole number"),
    ],
)
def test_numbers_that_are_no_counts_are_found_before_the_first_step(arguments, message):
    model = trainer()
    before = model.get_weights()
    with pytest.raises(TrainingError, match=message):
        model.fit(X, Y, verbose=0, **arguments)
    assert all((one == other).all() for one, other in zip(before, model.get_weights(), strict=True))


def test_whole_numbers_of_any_type_are_counts():
    model = trainer()
    history = model.fit(X, Y, batch_size=32 / 4, epochs=np.int64(2), steps_per_epoch=torch.tensor(2), verbose=0)
    assert (len(history.epoch), model.optimizer.iterations) == (2, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clip_norm": -1.0}, "clip_norm is -1.0; expected a number above 0, or None"),
        ({"clip_value": 0}, "clip_value is 0; expected a number above 0"),
        ({"accumulate": 2.5}, "accumulate is 2.5; expected a whole number"),
        ({"ema": 0.9, "ema_overwrite_frequency": 0}, "ema_overwrite_frequency is 0; expected"),
    ],
)
def test_limits_that_would_train_nothing_or_backwards_are_refused(arguments, message):
    with pytest.raises(TrainingError, match=message):
        trainer(**arguments)


@pytest.mark.parametrize(("module", "found"), [([nn.Linear(4, 2)], "a list"), (nn.Linear, r"a type; expected an inst")])
def test_what_is_no_module_is_refused(module, found):
    with pytest.raises(TrainingError, match=f"module is {found}"):
        Trainer(module, "sgd", "cross_entropy")


def test_an_optimizer_of_another_module_is_refused():
    other = torch.optim.SGD(nn.Linear(4, 2).parameters(), lr=0.1)
    with pytest.raises(TrainingError, match="the optimizer contains none of the trainable parameters"):
        Trainer(nn.Linear(4, 2), other, "cross_entropy").fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (EarlyStopping, {"patience": "3"}, "EarlyStopping: patience is '3'; expected a number"),
        (EarlyStopping, {"min_delta": "0.1"}, "min_delta is '0.1'; expected a number"),
        (EarlyStopping, {"monitor": ["val_loss"]}, "monitor is .'val_loss'.; expected the name of one metric"),
        (ReduceLROnPlateau, {"factor": "0.1"}, "ReduceLROnPlateau: factor is '0.1'; expected a number"),
        (ModelCheckpoint, {"filepath": "a.pt", "monitor": None}, "ModelCheckpoint: monitor is None; expected the name"),
        (CSVLogger, {"filename": "a.csv", "separator": ", "}, "CSVLogger: separator is ', '; expected one character"),
    ],
)
def test_arguments_of_callbacks_are_checked_when_they_are_made(kind, arguments, message):
    with pytest.raises(TrainingError, match=message):
        kind(**arguments)


def test_a_batch_size_for_data_with_batches_is_reported():
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=8)
    with pytest.warns(RuntimeWarning, match="batch_size=32 has no effect: the DataLoader has its own batches"):
        trainer().fit(loader, batch_size=32, verbose=0)


def test_weights_that_are_no_weights_of_samples():
    with pytest.raises(
        TrainingError, match=r"sample_weight is a dict of numbers.*\n  weights by class are class_weight"
    ):
        trainer().fit(X, Y, sample_weight={0: 1.0, 1: 2.0}, verbose=0)
    weights = np.ones(32)
    weights[:3] = np.nan
    with pytest.warns(RuntimeWarning, match="sample_weight contains NaN in 3 of 32 samples"):
        trainer().fit(X, Y, sample_weight=weights, verbose=0)


def test_lists_of_numbers_as_validation_data():
    assert "val_loss" in trainer().fit(X, Y, validation_data=[X.tolist(), Y.tolist()], verbose=0).history


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initial_epoch": -1}, "initial_epoch is -1; expected 0 or more"),
        ({"shuffle": "epoch"}, "shuffle is 'epoch'; expected True, False or 'batch'"),
        ({"class_weight": [1.0]}, "class_weight is a list of 1 weights, and the module has outputs for 2 classes"),
    ],
)
def test_arguments_that_would_mean_something_else(arguments, message):
    with pytest.raises(TrainingError, match=message):
        trainer().fit(X, Y, epochs=2, verbose=0, **arguments)
