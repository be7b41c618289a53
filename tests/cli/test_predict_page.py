"""docs/predict.md and docs/export.md: the commands of their `console` blocks run as they stand."""

from __future__ import annotations

import shlex
import shutil

import pytest

from cli.test_predict_without_torch import arrivals
from doc_pages import blocks_of
from making import make_photos
from regraft.cli.main import call

__all__ = ["arrivals"]


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny):
    """A folder with a run, photos and an export, as the pages name them."""
    from regraft.export.export_folder import export_model
    from regraft.screen import QuietScreen
    from regraft.workflows.train import train

    root = tmp_path_factory.mktemp("pages")
    photos = make_photos(root / "photos", {"ant": 30, "bee": 30})
    run = train(photos, out=root / "runs" / "photos-001", recipe="linear-probe", screen=QuietScreen(), **tiny)
    make_photos(root, {"new": 2, "incoming": 2})
    shutil.copy(root / "new" / "photo 000.png", root / "new.jpg")
    export_model(run.folder, root / "exported")
    return root


@pytest.mark.slow  # exports of several kinds
@pytest.mark.parametrize("page", ["docs/predict.md", "docs/export.md"])
def test_the_commands_of_the_page_run(page, place, monkeypatch, arrivals, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setattr("regraft.cli.predict.prepare_later_calls", lambda *_: None)
    commands = [shlex.split(c) for block in blocks_of(page) if block.language == "console" for c in block.commands]
    ours = [words[1:] for words in commands if words[0] == "regraft"]
    assert len(ours) >= 5
    for words in ours:
        if "web" in words or "openvino" in words:
            continue  # these need a package of npm, or the extra; tests/export runs them
        if "--watch" in words:
            arrivals(
                lambda: None, lambda: shutil.copy(place / "new.jpg", place / "incoming"), lambda: None, lambda: None
            )
        code = call(words)
        said = capsys.readouterr()
        assert code == (130 if "--watch" in words else 0), (words, said.err)
        assert len(said.out.splitlines()) >= (3 if "--watch" in words else 1)
