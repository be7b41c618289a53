"""Every option is used by a recipe, refused, or named as unused: the table of all options and recipes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from regraft.context.config import CALLBACK_OPTIONS, TrainConfig, resolve
from regraft.context.dataset import SMALL, Dataset
from regraft.context.option_values import RECIPES
from regraft.context.unused_options import unused_by_recipe, unused_by_split
from regraft.data.manifest import Entry, Manifest
from regraft.errors import ConfigError

EVERYWHERE = {
    "photos", "more_photos", "labels", "stored_labels", "label_from", "path_column", "label_column", "skip_missing",
    "folders", "out", "recipe", "backbone", "download", "weights", "size", "views", "seed", "split", "split_seed",
    "split_from", "group_by", "fix_leaks", "decisions", "class_weight", "device", "workers", "max_error", "stop_after",
    "snapshot_every", "fresh", "rescue_dir", "choices", "store", "worker_timeout", "track",
}  # fmt: skip
IN_EPOCHS = {"epochs", "lr", "batch_size", "choose_on_val", "shards", "fast_reduce", *CALLBACK_OPTIONS}
USED = {
    "linear-probe": EVERYWHERE | {"all_depths"},
    "feature-extraction": EVERYWHERE | IN_EPOCHS,
    "fine-tune": EVERYWHERE | IN_EPOCHS | {"unfreeze", "precision"},
    "auto": EVERYWHERE | IN_EPOCHS | {"unfreeze", "precision", "budget"},
}
VALUES = {
    "epochs": 3, "lr": 0.1, "batch_size": 8, "choose_on_val": True, "unfreeze": 2, "precision": "bf16", "budget": "5m",
    "early_stop": 1, "tensorboard": True, "remote_monitor": "http://localhost:1", "reduce_lr_on_plateau": True,
    "lr_schedule": "linear", "callback": "a:B", "callbacks": ("a",), "all_depths": True, "shards": 4,
    "fast_reduce": True,
}  # fmt: skip


def test_the_table_has_every_option():
    assert set(TrainConfig.model_fields) == set().union(*USED.values())


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("option", VALUES)
def test_an_option_is_used_or_refused_or_named(recipe, option):
    given = {"photos": "photos", "recipe": recipe, option: VALUES[option]}
    if option in USED[recipe]:
        assert unused_by_recipe(resolve(None, **given)) == []
    elif option in CALLBACK_OPTIONS:
        with pytest.raises(ConfigError, match=f"{option} needs a recipe that trains in epochs"):
            resolve(None, **given)
    elif option == "all_depths":
        with pytest.raises(ConfigError, match="expected the recipe linear-probe"):
            resolve(None, **given)
    else:
        (note,) = unused_by_recipe(resolve(None, **given))
        assert note.startswith(f"--{option.replace('_', '-')} is not used: {recipe} ")


def test_unused_options_are_named_together():
    config = resolve(None, photos="photos", recipe="linear-probe", epochs=3, lr=0.1, labels="a.csv", folders="classes")
    assert unused_by_recipe(config) == [
        "--epochs and --lr are not used: linear-probe solves the classifier at once, without epochs",
        "--folders is not used: the CSV of --labels has the labels",
    ]


def test_networks_to_download_are_only_for_auto():
    notes = unused_by_recipe(resolve(None, photos="photos", download=True))
    assert notes == ["--download is not used: only --backbone auto chooses among networks to download"]
    assert unused_by_recipe(resolve(None, photos="photos", backbone="auto", download=True)) == []


def dataset(photos: int, *given: str) -> Dataset:
    entry = Entry("a", Path("a"), "", "a")
    return Dataset(Manifest(Path(), ("a", "b"), [replace(entry) for _ in range(photos)]), frozenset(given))


@pytest.mark.parametrize(
    ("recipe", "photos", "given", "options", "unused"),
    [
        ("auto", 10, ("train", "validation"), {"split": "60/20/20", "split_from": "run"}, "--split and --split-from"),
        ("auto", 10, (), {"split": "60/20/20", "split_seed": 3}, ""),
        ("linear-probe", 10, (), {"split": "60/20/20", "split_seed": 3}, "--split and --split-seed"),
        ("linear-probe", SMALL, (), {"split": "60/20/20", "split_seed": 3}, ""),
        ("auto", 10, (), {"fix_leaks": True}, "--fix-leaks"),
        ("auto", 10, ("train", "test"), {"fix_leaks": True}, ""),
        ("fine-tune", 10, ("train", "validation"), {"choose_on_val": True}, ""),
        ("fine-tune", 10, ("train", "validation", "test"), {"choose_on_val": True}, "--choose-on-val"),
        ("fine-tune", 10, (), {"choose_on_val": True}, "--choose-on-val"),
    ],
)
def test_options_about_a_split_that_is_not_made(recipe, photos, given, options, unused):
    notes = unused_by_split(resolve(None, photos="photos", recipe=recipe, **options), dataset(photos, *given))
    assert [note.split(" is ")[0].split(" are ")[0] for note in notes] == ([unused] if unused else [])


def test_a_file_may_name_the_run_folder_and_a_config_of_a_run_does_not(tmp_path):
    (tmp_path / "mine.yaml").write_text("photos: photos\nout: here\n")
    (tmp_path / "config.json").write_text('{"format": 1, "photos": "photos", "out": "there"}')
    assert resolve(tmp_path / "mine.yaml").out == Path("here")
    assert resolve(tmp_path / "config.json").out is None
