"""`train(..., callbacks=[...])`: objects of regraft and of Keras, compared when a run is repeated or resumed."""

from __future__ import annotations

import csv
import json
import re
import sys

import keras
import pytest
import torch

import regraft as rg
from every_rung_gains import every_rung_gains
from making import make_photos
from regraft.callbacks import (
    BackupAndRestore,
    Callback,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TorchScheduler,
)
from regraft.callbacks.user_callbacks import described, given_callbacks
from regraft.context.config import resolve
from regraft.errors import ConfigError
from regraft.models.model_file import load_classifier
from regraft.recipes.steps import outlook
from regraft.screen import QuietScreen


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos"), {"ash": 28, "birch": 28, "cedar": 28}, noise=150.0)


class Screen(QuietScreen):
    """Keeps what is said."""

    def __init__(self):
        self.lines, self.warnings = [], []

    def line(self, label, text, note="", *, strong=False):
        self.lines.append(f"{label}: {text} {note}".strip())

    def warn(self, text):
        self.warnings.append(text)


def go(photos, out, **options):
    options = {"split": "60/20/20", "screen": QuietScreen()} | options
    return rg.train(photos, out=out, **options)


def history(run):
    with open(run.folder / "history.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        ("feature-extraction", EarlyStopping),
        ("fine-tune", keras.callbacks.EarlyStopping),
        pytest.param("feature-extraction", keras.callbacks.EarlyStopping, marks=pytest.mark.slow),
        pytest.param("fine-tune", EarlyStopping, marks=pytest.mark.slow),
    ],
)
def test_an_object_stops_the_training_of_a_recipe(photos, tiny, tmp_path, recipe, kind):
    stop = kind(patience=1)
    run = go(photos, tmp_path / "run", recipe=recipe, epochs=60, lr=0.3, callbacks=[stop], **tiny)
    rows = history(run)
    losses = [float(row["val_loss"]) for row in rows]
    first = next(i for i in range(1, len(losses)) if losses[i] >= min(losses[:i]))
    assert len(rows) == first + 1 < 60
    assert stop.stopped_epoch == first
    assert run.metrics["training"]["stop_reason"].startswith("EarlyStopping")


@pytest.mark.slow
def test_an_object_does_what_the_same_class_by_name_does(photos, tiny, tmp_path, monkeypatch):
    (tmp_path / "mine_named.py").write_text(
        "from regraft.callbacks import Callback\n"
        "class Enough(Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n"
        "        logs['mine'] = 1.5\n"
        "        if epoch == 1: self.stop('it is late')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    import mine_named

    options = {"recipe": "fine-tune", "epochs": 5, **tiny}
    runs = [
        go(photos, tmp_path / "a", callback="mine_named:Enough", **options),
        go(photos, tmp_path / "b", callbacks="mine_named:Enough", **options),
        go(photos, tmp_path / "c", callbacks=mine_named.Enough(), **options),
    ]
    assert [[row["mine"] for row in history(run)] for run in runs] == [["1.5", "1.5"]] * 3
    assert len({(run.folder / "model.safetensors").read_bytes() for run in runs}) == 1
    assert json.loads((tmp_path / "b" / "config.json").read_text())["callback"] == ["mine_named:Enough"]
    assert json.loads((tmp_path / "c" / "config.json").read_text())["callbacks"] == ["mine_named:Enough()"]


def test_callbacks_that_only_look_change_no_weight(photos, tiny, tmp_path):
    seen = []
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((epoch, sorted(logs))))
    kept = History()
    options = {"recipe": "fine-tune", "epochs": 2, **tiny}
    plain = go(photos, tmp_path / "plain", **options)
    run = go(photos, tmp_path / "run", callbacks=[look, [kept, ModelCheckpoint(tmp_path / "m.safetensors")]], **options)
    assert (run.folder / "model.safetensors").read_bytes() == (plain.folder / "model.safetensors").read_bytes()
    assert [epoch for epoch, _ in seen] == [0, 1]
    assert kept.history["val_loss"] == [float(row["val_loss"]) for row in history(run)]
    assert load_classifier(tmp_path / "m.safetensors").classes == ("ash", "birch", "cedar")


def test_linear_probe_refuses_callbacks(photos, tiny, tmp_path):
    with pytest.raises(
        ConfigError, match="callbacks needs a recipe that trains in epochs; linear-probe is solved at on"
    ):
        go(photos, tmp_path / "run", recipe="linear-probe", callbacks=[EarlyStopping()], **tiny)


def test_auto_says_that_nothing_called_them(photos, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(outlook, "WORTHWHILE_FEW", 100.0)  # no training is worth it
    screen = Screen()
    go(photos, tmp_path / "run", recipe="auto", budget="1h", callbacks=[EarlyStopping()], lr=0.1, screen=screen, **tiny)
    (few,) = [text for text in screen.warnings if "not called" in text]
    assert few == "EarlyStopping: not called, because nothing was trained in epochs"
    assert "--lr is not used: auto kept the linear probe, and trained nothing in epochs" in screen.warnings


@pytest.mark.slow
def test_every_training_of_auto_calls_the_same_object(tmp_path, tiny, monkeypatch):
    every_rung_gains(monkeypatch)
    root = make_photos(tmp_path / "photos", {"ash": 40, "birch": 40}, noise=150.0)

    class Count(Callback):
        begun, epochs = 0, ()

        def on_train_begin(self, logs=None):
            self.begun += 1

        def on_epoch_end(self, epoch, logs=None):
            self.epochs = (*self.epochs, epoch)

    count = Count()
    run = go(root, tmp_path / "run", recipe="auto", epochs=2, callbacks=[count], **tiny)
    stages = [row["stage"] for row in history(run)]
    assert count.begun == len(set(stages)) == 2
    assert count.epochs == (0, 1, 0, 1)


def test_all_that_is_no_callback_is_named_at_once():
    parameter = torch.nn.Parameter(torch.zeros(1))
    scheduler = torch.optim.lr_scheduler.StepLR(torch.optim.SGD([parameter], 0.1), 1)

    def after(epoch, logs):
        return None

    with pytest.raises(ConfigError) as caught:
        given_callbacks(
            [EarlyStopping, after, 3, scheduler, BackupAndRestore("b"), keras.callbacks.BackupAndRestore("b")]
        )
    lines = str(caught.value).splitlines()
    assert lines[0] == "callbacks: 6 problems"
    for line, part in zip(
        lines[1:],
        [
            "the class EarlyStopping; expected an instance: EarlyStopping()",
            "the function after; write LambdaCallback(on_epoch_end=after)",
            "a int; expected regraft or Keras callbacks",
            "a StepLR belongs to an optimizer, and a recipe makes its own",
            "a BackupAndRestore is not needed: a run keeps its own snapshots",
            "a BackupAndRestore is not needed",
        ],
        strict=True,
    ):
        assert part in line


def test_wrong_callbacks_are_found_before_any_photo_is_read(tmp_path):
    with pytest.raises(ConfigError, match="callbacks: the class EarlyStopping; expected an instance"):
        rg.train(tmp_path / "no photos", callbacks=EarlyStopping, screen=QuietScreen())
    with pytest.raises(ConfigError, match="LearningRateScheduler and lr_schedule='linear' would both set"):
        rg.train(
            tmp_path / "none", callbacks=[LearningRateScheduler(lambda e: 0.1)], lr_schedule="linear",
            screen=QuietScreen(), recipe="fine-tune",
        )  # fmt: skip


@pytest.mark.parametrize(
    "schedule",
    [
        LearningRateScheduler(lambda epoch: [0.01, 0.002, 0.03][epoch]),
        keras.callbacks.LearningRateScheduler(lambda epoch, lr: [0.01, 0.002, 0.03][epoch]),
    ],
)
def test_a_schedule_of_ones_own_replaces_the_recipes(photos, tiny, tmp_path, schedule):
    screen, rates = Screen(), []
    look = LambdaCallback(on_train_batch_end=lambda batch, logs: rates.append(look.model.optimizer.learning_rate))
    options = {"recipe": "feature-extraction", "epochs": 3, "lr": 0.5, "screen": screen, **tiny}
    run = go(photos, tmp_path / "run", callbacks=[schedule, look], **options)
    assert [float(row["learning_rate"]) for row in history(run)] == pytest.approx([0.01, 0.002, 0.03])
    assert sorted({round(float(rate), 6) for rate in rates}) == [0.002, 0.01, 0.03]
    assert "schedule: LearningRateScheduler of your own" in screen.lines
    assert [text for text in screen.warnings if not re.match(r"\d+ (test|validation) photos", text)] == []


def test_a_plateau_callback_of_ones_own_replaces_the_recipes_schedule(photos, tiny, tmp_path):
    plateau = ReduceLROnPlateau(patience=1, factor=0.5)
    run = go(photos, tmp_path / "run", recipe="feature-extraction", epochs=6, lr=3.0, callbacks=plateau, **tiny)
    rates = [float(row["learning_rate"]) for row in history(run)]
    assert rates[0] == 3.0
    assert set(rates) <= {3.0 * 0.5**n for n in range(6)}
    assert rates[-1] < 3.0


def test_a_change_of_the_rate_that_the_schedule_undoes_is_a_warning(photos, tiny, tmp_path):
    class Halve(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 1e-6

    screen = Screen()
    options = {"recipe": "feature-extraction", "epochs": 3, "screen": screen, **tiny}
    go(photos, tmp_path / "run", callbacks=[Halve()], **options)
    (warning,) = [text for text in screen.warnings if "learning rate" in text]
    assert warning.startswith(
        "RateWatch: a callback changes the learning rate, and the recipe's schedule sets it again"
    )
    quiet = Screen()
    go(photos, tmp_path / "other", callbacks=[EarlyStopping(patience=9)], **options | {"screen": quiet})
    assert not [text for text in quiet.warnings if "learning rate" in text]


def test_descriptions_tell_objects_apart_and_are_stable():
    texts = [
        described(EarlyStopping(patience=2)),
        described(EarlyStopping(patience=3)),
        described(keras.callbacks.EarlyStopping(patience=2)),
        described(LambdaCallback(on_epoch_end=test_descriptions_tell_objects_apart_and_are_stable)),
    ]
    assert len(set(texts)) == 4
    assert texts[0].startswith(
        "regraft.callbacks.early_stopping:EarlyStopping(monitor='val_loss', min_delta=0, patience=2"
    )
    assert "0x" not in "".join(texts)
    assert texts[0] == described(EarlyStopping(patience=2))


class Interrupt(Callback):
    """Ends the process's work in the second epoch, as Ctrl-C would, while it is armed."""

    armed = False

    def __init__(self, name="x"):
        super().__init__()
        self.name = name

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1 and type(self).armed:
            raise KeyboardInterrupt


@pytest.fixture
def armed(monkeypatch):
    return lambda on: monkeypatch.setattr(Interrupt, "armed", on)


@pytest.mark.slow
def test_an_interrupted_run_is_resumed_with_equal_objects_alone(photos, tiny, tmp_path, armed):
    options = {"recipe": "fine-tune", "epochs": 2, "snapshot_every": 0.001, **tiny}
    whole = go(photos, tmp_path / "whole", callbacks=[Interrupt()], **options)
    armed(True)
    with pytest.raises(KeyboardInterrupt):
        go(photos, tmp_path / "run", callbacks=[Interrupt()], **options)
    with pytest.raises(ConfigError) as caught:
        rg.resume(tmp_path / "run", screen=QuietScreen())
    text = str(caught.value)
    assert "callbacks were given to this training as objects" in text
    assert "test_callbacks_of_the_user:Interrupt(name='x')" in text
    assert "regraft.resume(RUN, callbacks=[...])" in text
    with pytest.raises(
        ConfigError, match=r"differ from those that the training began with(.|\n)*name='x'(.|\n)*name='y'"
    ):
        rg.resume(tmp_path / "run", screen=QuietScreen(), callbacks=[Interrupt("y")])
    with pytest.raises(ConfigError, match="callbacks were given to this training as objects"):
        rg.train(photos, config=tmp_path / "run" / "config.json", screen=QuietScreen())
    armed(False)
    run = rg.resume(tmp_path / "run", screen=QuietScreen(), callbacks=[Interrupt()])
    assert (run.folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()
    assert rg.resume(tmp_path / "run", screen=QuietScreen()).metrics == run.metrics  # finished: nothing is called


def test_the_same_call_resumes_by_itself(photos, tiny, tmp_path, monkeypatch, armed):
    monkeypatch.chdir(tmp_path)
    options = {"recipe": "fine-tune", "epochs": 2, "split": "60/20/20", "screen": QuietScreen(), **tiny}
    armed(True)
    with pytest.raises(KeyboardInterrupt):
        rg.train(photos, callbacks=[Interrupt()], **options)
    armed(False)
    run = rg.train(photos, callbacks=[Interrupt()], **options)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.folder.name]
    armed(True)
    with pytest.raises(KeyboardInterrupt):
        rg.train(photos, callbacks=[Interrupt("other")], **options)
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_configuration_of_an_earlier_version_has_no_such_key():
    now = resolve(None, photos="x").arguments()
    assert now["callbacks"] is None  # so that a run that began without it is resumed
    with pytest.raises(ConfigError, match=r"callbacks: expected callback objects, given to regraft.train"):
        resolve(None, photos="x", callbacks=[EarlyStopping()])


def test_torchs_schedulers_are_replaced_when_they_are_wrapped_too():
    parameter = torch.nn.Parameter(torch.zeros(1))
    scheduler = torch.optim.lr_scheduler.StepLR(torch.optim.SGD([parameter], 0.1), 1)
    with pytest.raises(ConfigError, match="a TorchScheduler belongs to an optimizer"):
        given_callbacks(TorchScheduler(scheduler))
