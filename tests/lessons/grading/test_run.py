"""A notebook in its own process: its cells, lines for IPython, errors, and answers that it did not write."""

from __future__ import annotations

import json

import pytest

from regraft.errors import ConfigError
from regraft.lessons.grading.grade import grade_notebook
from regraft.lessons.grading.notebook import code_of, run_notebook


def notebook(path, *cells):
    """Write a notebook of code cells, below a cell of text."""
    text = {"cell_type": "markdown", "source": ["# My solution"]}
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    path.write_text(json.dumps({"cells": [text, *code], "nbformat": 4}), encoding="utf-8")
    return path


def test_cells_share_their_names_and_write_next_to_the_notebook(tmp_path):
    file = notebook(
        tmp_path / "a.ipynb", "%matplotlib inline\nx = 1", "!ls\nopen('out.txt', 'w').write(str(x))", "%%bash\nls"
    )
    assert run_notebook(file) == ""
    assert (tmp_path / "out.txt").read_text() == "1"


def test_an_indented_magic_becomes_a_statement(tmp_path):
    file = notebook(tmp_path / "a.ipynb", "if True:\n    %pip install regraft")
    assert code_of(file) == ["if True:\n    pass"]


def test_a_line_of_an_expression_that_begins_with_a_percent_sign_is_no_magic(tmp_path):
    file = notebook(tmp_path / "a.ipynb", "x = ('%d'\n     % 3)\nassert x == '3'")
    assert run_notebook(file) == ""


def test_an_error_names_the_cell_and_shows_its_line(tmp_path):
    error = run_notebook(notebook(tmp_path / "a.ipynb", "x = 1", "y = 2\nx / 0  # here"))
    assert 'File "<cell 2>", line 2' in error
    assert "x / 0  # here" in error
    assert error.endswith("ZeroDivisionError: division by zero")


def test_a_notebook_that_does_not_end(tmp_path):
    file = notebook(tmp_path / "a.ipynb", "import threading\nthreading.Event().wait()")
    assert run_notebook(file, seconds=0.5) == "it has not ended after 0 minutes"


def test_answers_of_an_earlier_run_do_not_count(tmp_path):
    file = notebook(tmp_path / "a.ipynb", "pass")
    assert grade_notebook(file).error == "it has not written answers.json; the last cell of the exercise does so"
    (tmp_path / "answers.json").write_text("{}")
    assert grade_notebook(file, run=False).error == ""


def test_answers_that_are_no_dictionary(tmp_path):
    file = notebook(tmp_path / "a.ipynb")
    for content, hint in (("[]", "it holds a list"), ("{", "is not valid JSON")):
        (tmp_path / "answers.json").write_text(content)
        assert all(hint in verdict.hint for verdict in grade_notebook(file, run=False).verdicts)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", r"expected a notebook \(.ipynb\) or a script \(.py\), found the suffix '.txt'"),
        ("a.ipynb", "{}", "expected a notebook in format 4, found another file"),
        ("missing.py", None, "found no such file"),
    ],
)
def test_files_that_are_no_notebooks(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=message):
        code_of(tmp_path / name)
