"""The Python of each page runs as one script, and the commands of the tutorial run one after the other."""

from __future__ import annotations

import shlex
import shutil

import pytest
from click.testing import CliRunner

import regraft
from doc_blocks import way_of
from doc_pages import PAGES, blocks_of, name_of
from making import make_photos
from regraft.cli.main import regraft as program

SCRIPTS = [name for name in map(name_of, PAGES) if any(way_of(block) == "run as a script" for block in blocks_of(name))]
TUTORIAL = ("docs/tutorial/first-classifier.md", "docs/tutorial/your-photos.md")
RUN_ELSEWHERE = {"demo", "--split"}
"""Commands and options that need the whole sample; `tests/cli/test_train.py` runs them."""

PHOTOS = 12
SIZE = 64
"""Side of the input of networks: the code of pages is run as it stands, but with less to compute."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with what the pages expect: `photos`, `more_photos`, `new`, `new.jpg` and `labels.csv`."""
    classes = ("ant", "bee", "fly")
    make_photos(tmp_path / "photos", dict.fromkeys(classes, PHOTOS), noise=20.0)
    make_photos(tmp_path / "more_photos", dict.fromkeys(classes, 4), noise=20.0, seed=1)
    (tmp_path / "new").mkdir()
    for kind in classes:
        shutil.copy(tmp_path / "more_photos" / kind / "photo 000.png", tmp_path / "new" / f"{kind}.png")
    shutil.copy(tmp_path / "new" / "ant.png", tmp_path / "new.jpg")
    rows = [f"{kind}/photo {i:03}.png,{kind}" for kind in classes for i in range(PHOTOS)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *rows]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_scripts_were_found():
    assert len(SCRIPTS) >= 8
    assert {"README.md", "docs/migrate/keras.md", "docs/migrate/teachable-machine.md"} <= set(SCRIPTS)


@pytest.fixture
def small_inputs(monkeypatch):
    """Networks of `rg.build_backbone` and `rg.train` take small pictures, unless the page names a size."""
    build, train = regraft.build_backbone, regraft.train
    monkeypatch.setattr(regraft, "build_backbone", lambda *names, **options: build(*names, **{"size": SIZE, **options}))
    monkeypatch.setattr(regraft, "train", lambda photos, **options: train(photos, **{"size": SIZE, **options}))


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_python_of_a_page_runs(name, folder, small_inputs, capsys):
    names: dict[str, object] = {}
    for block in blocks_of(name):
        if block.language == "python" and way_of(block) == "run as a script":
            exec(compile("\n" * block.line + block.code, block.page, "exec"), names)
    assert "error" not in capsys.readouterr().err.lower()


@pytest.mark.slow
def test_the_commands_of_the_tutorial_run(folder):
    commands = [
        c for page in TUTORIAL for block in blocks_of(page) if block.language == "console" for c in block.commands
    ]
    runs = [words for words in map(shlex.split, commands) if words[0] == "regraft" and not RUN_ELSEWHERE & set(words)]
    assert len(runs) >= 10
    for words in runs:
        arguments = [part for word in words[1:] for part in _expanded(word, folder)]
        arguments += ["--size", str(SIZE)] if arguments[0] in ("train", "check", "advise") else []
        result = CliRunner().invoke(program, arguments)
        assert result.exit_code == 0, (words, result.output, result.exception)
        if arguments[0] == "sample":
            _thin_out(folder / arguments[2])


def _expanded(word, folder):
    """Return the files that a shell would put in place of a pattern."""
    return sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word else [word]


def _thin_out(photos):
    """Leave ten photos of each class: the test is about the commands."""
    for kind in photos.iterdir():
        for path in sorted(kind.iterdir())[10:]:
            path.unlink()
