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


def test_the_solution_of_the_exercise(regraft):
    assert regraft("lesson", "copy", 6, "--solution", "-q").out == "6_exercise_solution.ipynb\n"
    assert "lesson 1 (Callbacks) has no solution" in regraft("lesson", "copy", 1, "--solution").one_message()


def test_a_notebook_is_run_and_each_task_gets_a_hint(regraft):
    Path("mine.py").write_text("open('answers.json', 'w').write('{}')")
    said = regraft("lesson", "check", "mine.py")
    assert said.code == 1
    assert "task 4   not yet · split 80/10/10" in said.out
    assert "answers['photos'] is missing: write the folder with one folder per class into it." in " ".join(
        said.out.split()
    )
    assert said.out.splitlines()[-1] == "grade    0 of 8 tasks are solved"


def test_answers_may_be_graded_without_running_the_notebook(regraft):
    Path("mine.py").write_text("raise SystemExit('never run')")
    assert regraft("lesson", "check", "mine.py", "--no-run", "--quiet").out == "0/8\n"
    graded = json.loads(regraft("lesson", "check", "mine.py", "--no-run", "--json").out)
    assert (graded["solved"], graded["passed"], graded["error"]) == (0, False, "")
    assert graded["tasks"][7]["title"] == "predictions of new photos"


def test_a_notebook_that_fails_is_reported(regraft):
    Path("mine.py").write_text("1 / 0")
    said = regraft("lesson", "check", "mine.py")
    assert "the notebook ended with an error" in said.out
    assert "ZeroDivisionError" in said.out


def test_an_unknown_number(regraft):
    assert "no lesson 77; there are 1 (Callbacks)" in regraft("lesson", "copy", 77).one_message()
