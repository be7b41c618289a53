"""Names of other programs lead to the option of regraft."""

from __future__ import annotations

import pytest

from regraft.cli.main import regraft as program
from regraft.context.config import TrainConfig, resolve
from regraft.context.option_synonyms import option_meant, value_meant
from regraft.context.option_values import DEVICES, RECIPES
from regraft.errors import ConfigError

FIELDS = tuple(TrainConfig.model_fields)


@pytest.mark.parametrize(
    ("name", "option"),
    [("--model", "backbone"), ("--learning-rate", "lr"), ("LearningRate", "lr"), ("--batch_size", "batch_size"),
     ("imgsz", "size"), ("--patience", "early_stop"), ("num-workers", "workers"), ("--nonsense", None)],
)  # fmt: skip
def test_options(name, option):
    assert option_meant(name, FIELDS) == option


def test_an_option_of_another_command_is_not_meant():
    options = [parameter.name for parameter in program.commands["predict"].params]
    assert option_meant("--learning-rate", options) is None
    assert option_meant("--output", options) == "copy_to"


@pytest.mark.parametrize(
    ("value", "choices", "meant"),
    [("finetune", RECIPES, "fine-tune"), ("Linear_Probe", RECIPES, "linear-probe"), ("probe", RECIPES, "linear-probe"),
     ("gpu", DEVICES, "cuda"), ("val", ("train", "validation", "test"), "validation"), ("val", RECIPES, None)],
)  # fmt: skip
def test_values(value, choices, meant):
    assert value_meant(value, choices) == meant


def test_a_file_may_spell_options_as_the_command_line_does(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("photos: photos\nclass-weight: balanced\nbatch-size: 8\n")
    config = resolve(file)
    assert (config.class_weight, config.batch_size) == ("balanced", 8)
    file.write_text("photos: photos\nlearning-rate: 0.1\n")
    with pytest.raises(ConfigError, match=r"unknown key 'learning_rate'; did you mean 'lr'\?"):
        resolve(file)
    with pytest.raises(ConfigError, match=r"recipe: .* found 'finetune'; did you mean 'fine-tune'\?"):
        resolve(None, photos="photos", recipe="finetune")


def test_a_budget_as_text_needs_its_unit():
    with pytest.raises(ConfigError, match="budget: expected a time with its unit, such as 10s, 10m or 10h, found '10'"):
        resolve(None, photos="photos", budget="10")
    assert resolve(None, photos="photos", budget=10).budget == 10.0
    assert resolve(None, photos="photos", budget="1h30m").budget == 5400.0
    assert resolve(None, photos="photos", stop_after="10").stop_after == 10.0
