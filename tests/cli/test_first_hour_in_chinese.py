"""A new user's first hour in Traditional Chinese: no English sentence, and no line wider than the terminal."""

from __future__ import annotations

import io
import re

import pytest

from cli.first_hour import HOUR, NET, make_folder
from regraft.screen.line_breaks import cells

DATA = ("--json", "--format", "completion", "-q", "--version")
"""Words of commands whose output is data, which stays English."""

ENGLISH = re.compile(r"(?<![\w.-])[A-Za-z]{2,} (?:[a-z]+ )*[a-z]{3,}(?![\w.-])")
VERBATIM = re.compile(
    r"regraft [a-z]+( compare)?( [A-Z]+)?|(^|  |：|；|\(|（)(regraft [a-z]|pip install|tar |unzip ).*|'[^']*'|\"[^\"]*\"|\S*[/=\[\]<|]\S*|\S+\.\w+|--[\w-]+( [A-Z]+)?"
)
FROM_ELSEWHERE = ("unterminated subpattern", "while parsing", "node content", "find camera")
"""Parts of messages of Python and of its YAML reader, and of a command of the shell."""

NAMES = ("sorted out", "one class", "bad labels", "copy of ash", "photo 00", "class labels", "not yaml")


def english_in(line: str) -> str:
    """Return the English prose in a line, without names, paths, options and commands."""
    if any(part in line for part in FROM_ELSEWHERE):
        return ""
    for name in NAMES:
        line = line.replace(name, "…")
    found = ENGLISH.search(VERBATIM.sub(" ", line))
    return found[0] if found else ""


@pytest.mark.slow
def test_the_first_hour_is_in_chinese(regraft, tiny, tmp_path, monkeypatch):
    folder = tmp_path / "here"
    make_folder(folder)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("REGRAFT_LANG", "zh_TW")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    net = [word for name, value in tiny.items() for word in (f"--{name}", str(value))]
    english, wide = [], []
    for step in HOUR:
        said = regraft(*[part for word in step.words for part in (net if word == NET else [word])])
        assert said.code == step.code, (step.words, said.out, said.err)
        if any(word in step.words for word in DATA):
            continue
        lines = (said.out + said.err).splitlines()
        english += [f"{' '.join(step.words)}: {line}" for line in lines if english_in(line)]
        wide += [f"{' '.join(step.words)}: {line}" for line in lines if cells(line) > 80]
    assert english == []
    assert wide == []
