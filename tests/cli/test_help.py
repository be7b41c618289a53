"""Help is complete, grouped and quick; the reference in docs/ is made from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from cli.conftest import in_shell
from regraft.cli.main import regraft as program
from regraft.context.config import TrainConfig
from regraft.data.split import DEFAULT_SHARES

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "advise",
    "backbones",
    "cache",
    "check",
    "completion",
    "demo",
    "evaluate",
    "export",
    "features",
    "lesson",
    "lr",
    "monitor",
    "predict",
    "report",
    "resume",
    "runs",
    "sample",
    "serve",
    "train",
    "tune",
)
HEAVY = ("torch", "numpy", "PIL", "timm", "sklearn", "pydantic", "yaml", "rich", "safetensors", "scipy", "matplotlib")


def test_the_commands_are_these():
    assert sorted(program.commands) == list(COMMANDS)


def test_the_first_page_groups_all_commands(regraft):
    said = regraft("--help")
    assert said.code == 0 and said.err == ""
    for heading in ("Make a classifier:", "Use and measure it:", "Environment:"):
        assert heading in said.out
    assert "Other commands" not in said.out
    for name in COMMANDS:
        assert f"\n  {name} " in said.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_explained(regraft, name):
    said = regraft(name, "--help")
    assert said.code == 0 and said.out.startswith(f"Usage: regraft {name} ")
    for parameter in program.commands[name].params:
        assert parameter.help, f"{name}: {parameter.name}"
        for option in parameter.opts if isinstance(parameter, click.Option) else ():
            assert option in said.out


def test_every_setting_of_a_training_is_an_option():
    options = {parameter.name for parameter in program.commands["train"].params}
    assert set(TrainConfig.model_fields) - {"choices", "callbacks", "more_photos", "stored_labels"} <= options


@pytest.mark.parametrize(
    "arguments", [["-m", "regraft", "--help"], ["-m", "regraft", "train", "--help"], ["-c", "import regraft"]]
)
def test_nothing_heavy_is_loaded_for_help_or_import(arguments):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, encoding="utf-8", timeout=60, check=True
    )
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "regraft" in loaded and loaded.isdisjoint(HEAVY)


def test_the_reference_is_up_to_date():
    done = subprocess.run(
        [sys.executable, "scripts/cli_reference.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version(regraft):
    import regraft as package

    assert regraft("--version").out == f"regraft {package.__version__}\n"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_completion_script_of_a_shell(regraft, shell):
    assert "_REGRAFT_COMPLETE" in regraft("completion", shell).out


def test_completion_uses_the_shell_of_the_person(regraft, monkeypatch):
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert regraft("completion").out.startswith("#compdef regraft")
    monkeypatch.setenv("SHELL", "/usr/bin/nologin")
    assert "which shell? One of bash, zsh, fish" in regraft("completion").one_message()


def test_completing_a_command_and_an_option():
    done = in_shell(_REGRAFT_COMPLETE="bash_complete", COMP_WORDS="regraft tr", COMP_CWORD="1")
    assert "train" in done.stdout
    done = in_shell(_REGRAFT_COMPLETE="bash_complete", COMP_WORDS="regraft train --recipe lin", COMP_CWORD="3")
    assert "linear-probe" in done.stdout


def test_train_names_the_default_of_split():
    (option,) = [parameter for parameter in program.commands["train"].params if parameter.name == "split"]
    shares = "/".join(f"{100 * share:.0f}" for share in DEFAULT_SHARES)
    assert f"{shares} if not given" in option.help
