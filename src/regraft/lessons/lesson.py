"""The lessons that come with regraft, by number, and their form as notebooks.

A lesson is a script in the percent format: ``# %%`` begins a cell of code and ``# %% [markdown]`` a cell of text, whose
lines begin with ``#``. Spyder, VS Code and PyCharm run it cell by cell.
"""

from __future__ import annotations

import importlib.resources
import json
import re
from dataclasses import dataclass
from functools import cache

from regraft.errors import ConfigError
from regraft.language import ENGLISH
from regraft.language.typography import without_breaks

_CELL = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)

INSTALL = """\
import glob, importlib.util
if importlib.util.find_spec("regraft") is None:
    %pip install -q {(glob.glob("regraft-*.whl") or ["regraft"])[0]}"""
"""The first code cell of a notebook: it installs regraft if missing, from an uploaded wheel if there is one."""


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Attributes:
        number: its number, from 1.
        name: name of its file, without the suffix.
        script: its text in the percent format.
    """

    number: int
    name: str
    script: str

    @property
    def title(self) -> str:
        """Its title, without the number."""
        heading = re.search(r"^# # (?:Lesson \d+: |第 \d+ 課：)(.+)$", self.script, re.MULTILINE)
        return heading[1] if heading else self.name

    def notebook(self) -> str:
        """Return the lesson as a Jupyter notebook without outputs, in format 4.5 of nbformat.

        Its second cell is `INSTALL`, below the title.
        """
        title, *others = _cells(self.script)
        parts = [title, ("code", INSTALL), *others]
        cells = [
            _cell(index, kind, source if kind == "code" else without_breaks(source))
            for index, (kind, source) in enumerate(parts)
        ]
        about = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        notebook = {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
        return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


@cache
def lessons(language: str = ENGLISH) -> tuple[Lesson, ...]:
    """Return all lessons, in order.

    Args:
        language: one of `regraft.language.LANGUAGES`; their code is the same in all of them.
    """
    folder = importlib.resources.files("regraft.lessons") / "content"
    if language != ENGLISH:
        folder /= language
    names = sorted(path.name.removesuffix(".py") for path in folder.iterdir() if path.name.endswith(".py"))
    return tuple(
        Lesson(int(name.split("_")[0]), name, _script((folder / f"{name}.py").read_text(encoding="utf-8")))
        for name in names
    )


def _script(text: str) -> str:
    """Return the cells of a file, without the line above them that a translation has about its source."""
    return text[text.index("# %%") :]


def find_lesson(number: int, language: str = ENGLISH) -> Lesson:
    """Return the lesson ``number`` in a language.

    Raises:
        ConfigError: there is none.
    """
    for lesson in lessons(language):
        if lesson.number == number:
            return lesson
    listed = ", ".join(f"{lesson.number} ({lesson.title})" for lesson in lessons(language))
    raise ConfigError(f"no lesson {number}; there are {listed}")


def find_solution(number: int, language: str = ENGLISH) -> Lesson:
    """Return the solution of lesson ``number``; its code needs no translation.

    Raises:
        ConfigError: the lesson has none, or does not exist.
    """
    lesson = find_lesson(number, language)
    file = importlib.resources.files("regraft.lessons") / "content" / "solutions" / f"{lesson.name}.py"
    if not file.is_file():
        raise ConfigError(f"lesson {number} ({lesson.title}) has no solution to copy; lesson 6 has one")
    return Lesson(number, f"{lesson.name}_solution", file.read_text(encoding="utf-8"))


def _cells(script: str) -> list[tuple[str, str]]:
    """Return kind and source of each cell."""
    parts = _CELL.split(script)[1:]
    cells = []
    for marker, body in zip(parts[::2], parts[1::2], strict=True):
        if marker is None:
            cells.append(("code", body.strip("\n")))
        else:
            lines = (line.removeprefix("#").removeprefix(" ") for line in body.strip("\n").split("\n"))
            cells.append(("markdown", "\n".join(lines)))
    return cells


def _cell(index: int, kind: str, source: str) -> dict[str, object]:
    """Return a cell of a notebook; its source is a list of lines, each with its end."""
    cell: dict[str, object] = {
        "cell_type": kind,
        "id": f"cell-{index}",
        "metadata": {},
        "source": source.splitlines(keepends=True),
    }
    return cell | ({"outputs": [], "execution_count": None} if kind == "code" else {})
