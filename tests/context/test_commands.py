"""Commands to paste: what they repeat is parsed back to the same configuration."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from regraft.cli.main import regraft as program
from regraft.context.commands import NOT_REPEATED, check_command, train_command
from regraft.context.config import TrainConfig, resolve

OPTIONS = {
    "labels": Path("my labels.csv"), "path_column": "file name", "label_column": "Art", "skip_missing": True,
    "folders": "classes", "recipe": "fine-tune", "budget": "10m",
    "backbone": "resnet18", "download": True, "weights": Path("w.pt"), "size": 96, "epochs": 3, "views": 2, "lr": 3e-05,
    "unfreeze": ("layer3", "layer4"),
    "batch_size": 8, "seed": 1, "split_seed": 2, "split": "60/25/15", "split_from": Path("run 1"),
    "choose_on_val": True, "group_by": r"/(h\d)_ 'a'", "fix_leaks": True, "decisions": Path("d.csv"),
    "class_weight": "balanced", "max_error": 0.02,
    "device": "cpu", "precision": "bf16", "workers": 0, "early_stop": 0, "tensorboard": True,
    "remote_monitor": "http://localhost:1", "lr_schedule": "constant", "reduce_lr_on_plateau": True,
    "callback": ("a:B", "c:D"), "snapshot_every": "5s", "rescue_dir": Path("r"), "store": "/shared store",
    "shards": 4, "fast_reduce": True, "track": "mlflow",
}  # fmt: skip


def parsed(command: str) -> TrainConfig:
    name, train, *words = shlex.split(command)
    assert (name, train) == ("regraft", "train")
    context = program.commands["train"].make_context("train", words)
    options = {name: value for name, value in context.params.items() if name != "watch"}  # opens a page, no setting
    return resolve(options.pop("config"), **options)


def test_every_option_is_repeated():
    assert set(OPTIONS) | {"all_depths", "label_from"} | NOT_REPEATED == set(TrainConfig.model_fields)
    config = resolve(None, photos=Path("my photos"), **OPTIONS)
    for values in (vars(config), config.as_dict()):
        assert parsed(train_command(values)).arguments() == config.arguments()


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_is_repeated_alone(name):
    needed = {"labels": OPTIONS["labels"]} if name in ("path_column", "label_column", "skip_missing") else {}
    config = resolve(None, photos=Path("-photos"), **needed, **{name: OPTIONS[name]})
    assert parsed(train_command(config.as_dict())).as_dict() == config.as_dict()


def test_all_depths_is_repeated_with_the_recipe_that_has_it():
    config = resolve(None, photos=Path("photos"), recipe="linear-probe", all_depths=True)
    assert train_command(vars(config)) == "regraft train photos --recipe linear-probe --all-depths"
    assert parsed(train_command(config.as_dict())).as_dict() == config.as_dict()
    assert resolve(None, photos=Path("photos"), all_depths=False).all_depths is None


def test_several_folders_and_the_pattern_of_names_are_repeated():
    config = resolve(None, photos=["a b", "-c", "d.zip"], label_from=r"^(?P<label>[^_]+)_'")
    command = train_command(vars(config))
    assert command.startswith("regraft train 'a b' ./-c d.zip --label-from ")
    assert parsed(command).as_dict() == config.as_dict()
    assert check_command(config.as_dict()).startswith("regraft check 'a b' ./-c d.zip ")


def test_defaults_are_left_out_and_changes_win():
    config = resolve(None, photos=Path("photos"), recipe="linear-probe", out=Path("run"), seed=3, epochs=2)
    assert train_command(vars(config)) == "regraft train photos --recipe linear-probe --epochs 2 --seed 3"
    assert train_command(vars(config), recipe=None, budget="10m", epochs=None) == (
        "regraft train photos --budget 10m --seed 3"
    )


def test_a_check_repeats_what_it_shares_with_a_training():
    config = resolve(None, photos=Path("my photos"), **OPTIONS)
    command = check_command(vars(config), "-o", "checked")
    assert command.startswith("regraft check 'my photos' --labels 'my labels.csv' --path-column 'file name' ")
    assert " --skip-missing --folders classes --group-by " in command
    assert command.endswith(" -o checked") and "--epochs" not in command
    program.commands["check"].make_context("check", shlex.split(command)[2:])


def test_paths_below_the_current_folder_are_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"photos": f"{tmp_path}/my photos", "labels": f"{tmp_path}/labels.csv", "weights": "/elsewhere/a.pt"}
    text = train_command(config)
    assert text == "regraft train 'my photos' --labels labels.csv --weights /elsewhere/a.pt"
