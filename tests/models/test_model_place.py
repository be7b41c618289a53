"""The model file that a path means, and what a user should name instead of something else."""

from __future__ import annotations

import pytest

from regraft.errors import ModelFileError
from regraft.models.model_place import find_model_file


@pytest.fixture
def run(tmp_path):
    """A folder that looks like a finished run."""
    folder = tmp_path / "runs" / "photos-001"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes(b"{}")
    return folder


def refusal(path):
    with pytest.raises(ModelFileError) as found:
        find_model_file(path)
    return str(found.value)


def test_a_run_and_a_copy_of_its_model_are_found(run):
    assert find_model_file(run) == find_model_file(run / "model.safetensors") == run / "model.safetensors"


def test_the_folder_of_all_runs_names_one_of_them(run):
    assert refusal(run.parent).endswith(f"it is not a run folder\n  it contains runs: name one of them, such as {run}")


def test_a_run_that_did_not_finish_is_to_be_resumed(run):
    (run / "model.safetensors").unlink()
    assert refusal(run).endswith(f"the run did not finish\n  finish it: regraft resume {run}")


def test_a_folder_of_photos_needs_a_training(tmp_path):
    (tmp_path / "ant").mkdir()
    assert refusal(tmp_path).endswith(
        "name the folder of a finished training, or train a classifier first: regraft train PHOTOS"
    )
    (tmp_path / "other.safetensors").touch()
    assert refusal(tmp_path).endswith("\n  it contains other.safetensors: name that file")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.onnx", "is an exported file for other programs; expected a run folder or a model.safetensors"),
        ("model.xml", "\n  name the run that it was exported from"),
        ("new.JPG", "is a photo; expected a run folder or a model.safetensors\n  train a classifier first"),
    ],
)
def test_other_files_are_told_by_their_names(tmp_path, name, expected):
    (tmp_path / name).touch()
    assert expected in refusal(tmp_path / name)
    if not name.endswith("JPG"):
        assert "it contains an exported file for other programs" in refusal(tmp_path)
