"""What `import regraft` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import regraft
from regraft import errors

ERRORS = {
    "BackboneError", "ConfigError", "DecodeError", "MissingExtraError", "ModelFileError", "PhotosError", "RegraftError",
    "RunFolderError", "SnapshotError", "StorageError", "TrainingError", "UserError", "WeightsError",
}  # fmt: skip
NAMES = ERRORS | {
    "Augmentation", "Backbone", "Classifier", "ImageFolder", "Prediction", "Predictor", "Preprocessing", "Run",
    "Snapshots", "Trainer", "__version__", "build_backbone", "callbacks", "list_backbones", "recipes", "resume",
    "train",
}  # fmt: skip


def test_the_public_names_are_these():
    assert set(regraft.__all__) == NAMES
    assert set(dir(regraft)) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_public_name_is_there(name):
    assert getattr(regraft, name) is not None


def test_every_error_is_public():
    tree = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert tree == ERRORS
    assert all(issubclass(getattr(regraft, name), regraft.RegraftError) for name in ERRORS)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        regraft.no_such_name  # noqa: B018


def test_errors_are_at_hand_without_torch():
    code = "import regraft, sys; regraft.PhotosError, regraft.__version__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
