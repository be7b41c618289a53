"""The file of labels is copied into the run folder, and read there once it has changed or disappeared."""

from __future__ import annotations

import pytest

from regraft.callbacks import Callback
from regraft.data.selection import PhotoSelection
from regraft.run.folder import RunFolder
from regraft.run.removal import remove_run
from regraft.screen import QuietScreen
from regraft.workflows.check import CheckOptions, check_photos
from regraft.workflows.evaluate import evaluate_run
from regraft.workflows.steps.photos_of_run import photo_options, stored_labels
from regraft.workflows.train import resume, train


class Killed(BaseException):
    """Ends a training at once."""


class Kill(Callback):
    active = True

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 2 and type(self).active:
            raise Killed


@pytest.fixture
def table(photos, tmp_path):
    """A table in a folder of its own, with paths that start there."""
    file = tmp_path / "tables" / "labels of 2026.csv"
    file.parent.mkdir()
    rows = [f"../{path.relative_to(tmp_path).as_posix()},{path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    file.write_text("path,label\n" + "\n".join(rows) + "\n")
    return file


def test_a_run_is_resumed_and_measured_after_its_table_has_changed(photos, table, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"recipe": "feature-extraction", "epochs": 2, "batch_size": 4, **tiny}
    monkeypatch.setattr(Kill, "active", True)
    with pytest.raises(Killed):
        train(photos, labels=table, out="run", screen=QuietScreen(), callbacks=[Kill()], **options)
    text = table.read_text()
    table.write_text(text.replace("ant,", "wasp,"))
    monkeypatch.setattr(Kill, "active", False)
    run = resume("run", screen=QuietScreen(), callbacks=[Kill()])
    folder = RunFolder(run.folder)
    copy = stored_labels(folder)
    assert copy is not None and copy.name == table.name and copy.read_text() == text
    assert "wasp" not in run.metrics["classes"] and run.config.labels == table
    table.unlink()
    assert evaluate_run(run.folder, "train", run.model)["n"] > 0
    selection = PhotoSelection.from_options(photo_options(folder))
    check = check_photos(CheckOptions(selection, workers=0, **tiny), QuietScreen())
    assert sorted(check["classes"]) == sorted(run.metrics["classes"])
    assert remove_run(run.folder) == [] and not run.folder.exists()


def test_a_run_without_a_table_has_no_copy(photos, tiny, tmp_path):
    run = train(photos, out=tmp_path / "run", recipe="linear-probe", screen=QuietScreen(), **tiny)
    assert stored_labels(RunFolder(run.folder)) is None and not (run.folder / "labels").exists()
