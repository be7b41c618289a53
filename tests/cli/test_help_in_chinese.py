"""The help of all commands in Traditional Chinese: no English sentence, and no line wider than the terminal."""

from __future__ import annotations

import click
import pytest

from cli.test_first_hour_in_chinese import english_in
from regraft.cli.main import regraft as group
from regraft.screen.line_breaks import cells


def _commands(command, words=()):
    yield words
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, (*words, name))


ALL = list(_commands(group))


def test_all_commands_are_tested():
    assert len(ALL) >= 23


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_the_help_is_in_chinese(words, regraft, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("REGRAFT_LANG", "zh_TW")
    lines = regraft(*words, "--help").out.splitlines()
    assert [line for line in lines if cells(line) > 80] == []
    assert [line for line in lines if "regraft" not in line and english_in(line)] == []
    assert any("顯示這段說明後結束。" in line for line in lines)


def test_english_help_is_that_of_cloup(regraft, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    ours = regraft("train", "--help").out
    for command in (group, *group.commands.values()):
        monkeypatch.setattr(command, "context_class", __import__("cloup").Context)
    assert regraft("train", "--help").out == ours
    assert isinstance(group, click.Group)
