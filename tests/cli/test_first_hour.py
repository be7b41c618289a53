"""A new user's first hour: no traceback, no line wider than the terminal, and every command says what it must."""

from __future__ import annotations

import hashlib
import io
import json

import pytest

from cli.first_hour import HOUR, NET, make_folder
from regraft.screen.line_breaks import cells

DATA = ("--json", "--format", "completion", "-q")
"""Words of commands whose output is data, which is never broken into lines."""


def state_of(folder):
    """Return hash and time of every file in a folder of the user."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def hour(regraft, tiny, tmp_path, monkeypatch):
    """Return all steps with their outputs, run one after the other in one folder."""
    folder = tmp_path / "here"
    make_folder(folder)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    net = [word for name, value in tiny.items() for word in (f"--{name}", str(value))]
    before = state_of(folder / "photos")
    done = []
    for step in HOUR:
        words = [part for word in step.words for part in (net if word == NET else [word])]
        done.append((step, regraft(*words)))
    assert state_of(folder / "photos") == before
    return done


@pytest.mark.slow
def test_the_first_hour(hour):
    assert len(hour) > 120
    problems = []
    for step, said in hour:
        command, output = " ".join(step.words), said.out + said.err
        if said.code != step.code:
            problems.append(f"{command}: exit code {said.code} instead of {step.code}\n{output}")
        if step.says not in " ".join(output.split()) and step.says not in output:
            problems.append(f"{command}: does not say {step.says!r}\n{output}")
        if "Traceback" in output or "unexpected " in output:
            problems.append(f"{command}: unexpected error\n{output}")
        data = any(word in step.words for word in DATA)
        lines = (said.err if data else output).splitlines()
        problems += [f"{command}: too wide: {line}" for line in lines if cells(line) > 80]
        if "--json" in step.words:
            json.loads(said.out)
        if ("-q" in step.words or "--quiet" in step.words) and said.code in (0, 3) and said.err:
            problems.append(f"{command}: not quiet\n{said.err}")
    assert problems == [], "\n\n".join(problems)
