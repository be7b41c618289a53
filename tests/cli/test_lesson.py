"""`regraft lesson`: the list, and copies that replace no work of the reader."""

from __future__ import annotations

import json
from pathlib import Path

from regraft.lessons.lesson import find_lesson


def test_the_list(regraft):
    assert regraft("lesson", "list").out.splitlines()[0] == "1  Callbacks"
    assert json.loads(regraft("lesson", "list", "--json").out)[1]["title"] == "Feature extraction"


def test_a_copy_is_a_notebook(regraft):
    said = regraft("lesson", "copy", 1)
    assert said.code == 0
    assert "jupyter lab 1_callbacks.ipynb" in said.out
    assert Path("1_callbacks.ipynb").read_text(encoding="utf-8") == find_lesson(1).notebook()


def test_a_copy_as_a_script(regraft):
    assert regraft("lesson", "copy", 3, "--format", "script", "-o", "mine", "-q").out == "mine/3_frozen_body.py\n"
    assert Path("mine/3_frozen_body.py").read_text(encoding="utf-8") == find_lesson(3).script


def test_work_of_the_reader_is_never_replaced(regraft):
    regraft("lesson", "copy", 2)
    assert regraft("lesson", "copy", 2).code == 0  # unchanged, so that nothing is lost
    Path("2_features.ipynb").write_text("my answers")
    said = regraft("lesson", "copy", 2)
    assert said.code == 2
    assert "2_features.ipynb exists and differs from the lesson" in said.one_message()
    assert Path("2_features.ipynb").read_text() == "my answers"


def test_an_unknown_number(regraft):
    assert "no lesson 77; there are 1 (Callbacks)" in regraft("lesson", "copy", 77).one_message()
