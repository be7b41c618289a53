"""The lessons: notebooks with the same cells, and scripts that run to their end with the numbers that they promise."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys

import pytest

from regraft.errors import ConfigError
from regraft.lessons.lesson import find_lesson, lessons

COUNT = 4


def test_the_lessons_are_these():
    assert [lesson.number for lesson in lessons()] == list(range(1, COUNT + 1))
    assert [lesson.title for lesson in lessons()] == [
        "Callbacks",
        "Feature extraction",
        "A new head on a frozen body",
        "Fine-tuning",
    ]


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.name)
def test_a_notebook_has_the_cells_of_the_script(lesson):
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.reads(lesson.notebook(), 4)
    nbformat.validate(notebook)
    assert len(notebook.cells) == lesson.script.count("\n# %%") + 1
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(lesson.script))
    assert notebook.cells[0].source.startswith(f"# Lesson {lesson.number}: {lesson.title}\n")
    assert not any(line.startswith("#") and "%%" in line for cell in notebook.cells for line in cell.source.split("\n"))


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.name)
def test_every_lesson_checks_its_numbers_and_ends_with_tasks(lesson):
    assert sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(lesson.script))) >= 4
    assert "## Your turn" in lesson.script


def test_an_unknown_lesson_lists_the_others():
    with pytest.raises(ConfigError, match=r"no lesson 9; there are 1 \(Callbacks\), 2 \(Feature extraction\)"):
        find_lesson(9)


def test_a_notebook_is_json_with_characters_as_they_are():
    text = find_lesson(1).notebook()
    assert "×" in text
    assert json.loads(text)["nbformat"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.name)
def test_a_lesson_runs_to_its_end(lesson, tmp_path):
    script = tmp_path / f"{lesson.name}.py"
    script.write_text(lesson.script, encoding="utf-8")
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    environment.pop("PHOTOS", None)
    run = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stderr
