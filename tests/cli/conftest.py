"""The command line, called in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from making import make_photos
from regraft.cli.main import call
from tiny_network import tiny

__all__ = ["tiny"]


@dataclass
class Said:
    code: int
    out: str
    err: str

    def one_message(self) -> str:
        """Return the error, which must be one message: a line that begins with the program, and indented help."""
        first, *rest = self.err.rstrip("\n").split("\n")
        assert first.startswith("regraft: "), self.err
        assert all(line.startswith("  ") for line in rest), self.err
        assert "Traceback" not in self.err
        return self.err.removeprefix("regraft: ").rstrip("\n")


@pytest.fixture
def prepares() -> None:
    """Let `regraft predict` prepare models for later calls, which takes a second with the empty cache of each test."""


@pytest.fixture
def regraft(capsys, monkeypatch, tmp_path, request):
    """Call the command line in this process, in an empty folder of its own."""
    if "prepares" not in request.fixturenames:
        monkeypatch.setattr("regraft.cli.predict.prepare_later_calls", lambda *_: None)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))

    def run(*arguments) -> Said:
        capsys.readouterr()
        code = call([str(argument) for argument in arguments])
        return Said(code, *capsys.readouterr())

    return run


def in_shell(*arguments, cwd=None, stdin=None, encoding="utf-8", **environment) -> subprocess.CompletedProcess:
    """Run the command in a process of its own, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "regraft", *map(str, arguments)],
        capture_output=True,
        cwd=cwd,
        input=stdin,
        encoding=encoding,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory, tiny):
    """A finished run over three classes of generated photos."""
    from regraft.screen import QuietScreen
    from regraft.workflows.train import train

    root = tmp_path_factory.mktemp("trained")
    photos = make_photos(root / "trees", {"ash": 12, "birch": 12, "cedar": 12})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGRAFT_CACHE", str(root / "cache"))
        return train(photos, out=root / "run", recipe="linear-probe", screen=QuietScreen(), **tiny)
