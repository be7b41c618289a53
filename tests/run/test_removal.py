"""A run folder is removed with nothing else, and never while a process trains into it."""

from __future__ import annotations

import pytest

from regraft.errors import RunFolderError
from regraft.run.folder import RunFolder
from regraft.run.lock import RunLock
from regraft.run.removal import remove_run


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    (folder.tensorboard / "train").mkdir(parents=True)
    for path in (folder.config, folder.model, folder.tensorboard / "train" / "events"):
        path.write_text("{}")
    return folder


def test_the_whole_folder_goes(folder):
    assert remove_run(folder.path) == []
    assert not folder.path.exists()


def test_files_of_the_user_stay(folder):
    notes = folder.path / "notes.txt"
    notes.write_text("mine")
    assert remove_run(folder.path) == [notes]
    assert list(folder.path.iterdir()) == [notes]


def test_a_link_is_not_followed(folder, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(folder.path)
    with pytest.raises(RunFolderError, match="is a link"):
        remove_run(link)
    assert folder.model.exists()


def test_another_folder_is_not_a_run(tmp_path):
    with pytest.raises(RunFolderError, match="is not a run folder"):
        remove_run(tmp_path)


def test_a_run_in_progress_stays(folder):
    lock = RunLock(folder.resume, folder.path).take()
    with pytest.raises(RunFolderError, match="in use by another process"):
        remove_run(folder.path)
    lock.release()
    assert folder.model.exists()
