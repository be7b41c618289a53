"""The lessons: notebooks with the same cells, and scripts that run to their end with the numbers that they promise."""

from __future__ import annotations

import ast
import glob
import json
import os
import re
import subprocess
import sys
from operator import attrgetter

import pytest
import torch

from regraft.errors import ConfigError
from regraft.lessons.grading.grade import grade_folder
from regraft.lessons.lesson import INSTALL, find_lesson, find_solution, lessons
from regraft.lessons.stated import stated
from regraft.models.timm_import import import_timm
from regraft.models.zoo import create_network

COUNT = 7


def test_the_lessons_are_these():
    assert [lesson.number for lesson in lessons()] == list(range(1, COUNT + 1))
    assert [lesson.title for lesson in lessons()] == [
        "Callbacks",
        "Feature extraction",
        "A new head on a frozen body",
        "Fine-tuning",
        "When to use which",
        "The exercise, five flowers",
        "Honest numbers",
    ]


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.name)
def test_a_notebook_has_the_cells_of_the_script(lesson):
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.reads(lesson.notebook(), 4)
    nbformat.validate(notebook)
    install = notebook.cells.pop(1)
    assert install.source == INSTALL
    assert len(notebook.cells) == lesson.script.count("\n# %%") + 1
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(lesson.script))
    assert notebook.cells[0].source.startswith(f"# Lesson {lesson.number}: {lesson.title}\n")
    assert not any(line.startswith("#") and "%%" in line for cell in notebook.cells for line in cell.source.split("\n"))


@pytest.mark.parametrize("lesson", [*lessons()[:5], lessons()[6], find_solution(6)], ids=lambda lesson: lesson.name)
def test_every_lesson_checks_its_numbers(lesson):
    nodes = list(ast.walk(ast.parse(lesson.script)))
    stated = sum(isinstance(node, ast.Call) and getattr(node.func, "id", "") == "stated" for node in nodes)
    assert stated + sum(isinstance(node, ast.Assert) for node in nodes) >= 4


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.name)
def test_every_lesson_ends_with_tasks(lesson):
    assert "## Your turn" in lesson.script


def test_only_the_exercise_has_a_solution():
    assert find_solution(6).name == "6_exercise_solution"
    with pytest.raises(ConfigError, match=r"lesson 2 \(Feature extraction\) has no solution to copy; lesson 6 has one"):
        find_solution(2)


def test_colab_installs_an_uploaded_wheel_or_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    choose = re.search(r"{(.+)}", INSTALL)[1]
    assert eval(choose, {"glob": glob}) == "regraft"
    (tmp_path / "regraft-0.1-py3-none-any.whl").touch()
    assert eval(choose, {"glob": glob}) == "regraft-0.1-py3-none-any.whl"


def test_a_stated_number_is_compared_unless_the_photos_are_the_readers(monkeypatch, capsys):
    assert stated(5, 4, 6) == 5
    assert capsys.readouterr().out == "5   (4 … 6)\n"
    with pytest.raises(AssertionError, match=r"the lesson states a number between 4 and 6, found 7"):
        stated(7, 4, 6)
    monkeypatch.setenv("PHOTOS", "mine")
    assert stated(7, 4, 6) == 7


def names_in(tree, module):
    """Return the dotted names in ``tree`` that begin with ``module``."""
    chains = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {name for name in chains if re.fullmatch(rf"{module}(\.\w+)+", name)}


def test_code_beside_regraft_uses_what_keras_and_timm_have():
    keras, timm = pytest.importorskip("keras"), import_timm()
    blocks = [
        block for lesson in lessons() for block in re.findall(r"# ```python\n(.*?)# ```", lesson.script, re.DOTALL)
    ]
    assert len(blocks) == 4
    tree = ast.parse("".join(line.removeprefix("#").removeprefix(" ") for b in blocks for line in b.splitlines(True)))
    assert len(names_in(tree, "keras")) >= 6
    for name in names_in(tree, "keras"):
        assert attrgetter(name.removeprefix("keras."))(keras)
    for name in names_in(tree, "timm"):
        assert attrgetter(name.removeprefix("timm."))(timm)


@pytest.mark.parametrize("name", ["vgg16", "resnet18", "xception41"])
def test_the_networks_of_the_lecture_accept_the_photos_of_the_lessons(name):
    with torch.device("meta"), torch.no_grad():
        assert create_network(name, 64, random_init=False).eval()(torch.empty(1, 3, 64, 64)).shape[0] == 1
    page = " ".join(lesson.script for lesson in lessons())
    assert f"`{name}`" in page


def test_an_unknown_lesson_lists_the_others():
    with pytest.raises(ConfigError, match=r"no lesson 9; there are 1 \(Callbacks\), 2 \(Feature extraction\)"):
        find_lesson(9)


def test_a_notebook_is_json_with_characters_as_they_are():
    text = find_lesson(1).notebook()
    assert "×" in text
    assert json.loads(text)["nbformat"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("lesson", [*lessons(), find_solution(6)], ids=lambda lesson: lesson.name)
def test_a_lesson_runs_to_its_end(lesson, tmp_path):
    script = tmp_path / f"{lesson.name}.py"
    script.write_text(lesson.script, encoding="utf-8")
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    for name in ("PHOTOS", "NETWORK"):
        environment.pop(name, None)
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
    if lesson.number == 6:
        hints = [verdict.hint for verdict in grade_folder(tmp_path)]
        assert hints == [""] * 8 if lesson == find_solution(6) else all("is missing" in hint for hint in hints)
