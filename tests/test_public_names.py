"""Public names of `import regraft`: kinds, arguments, errors."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys

import pytest

import regraft
from regraft import errors

ERRORS = {
    "BackboneError", "ConfigError", "DecodeError", "FindingsError", "MissingExtraError", "ModelFileError",
    "PhotosError", "ProofError", "RegraftError", "RunFolderError", "ServerError", "SnapshotError", "StorageError",
    "TrainingError", "UnreadableError", "UserError", "WeightsError", "WorkersError",
}  # fmt: skip
CLASSES = {
    "Augmentation": "scale ratio flip brightness contrast saturation",
    "Backbone": "network spec blocks",
    "Classifier": "backbone classes own",
    "Ensemble": "groups weights own",
    "ImageFolder": "root labels network classes size mean std augmentation split_seed split seed preprocessing workers "
    "check screen folders label_from",
    "Prediction": "path label probability top error unsure novelty",
    "Predictor": "classifier device workers engine views own",
    "Preprocessing": "height width interpolation mean std crop_pct crop_mode white_level ground",
    "Run": "folder config metrics",
    "Snapshots": "folder every identity",
    "Trainer": "module optimizer loss metrics weighted_metrics loss_weights learning_rate parameters device precision "
    "accumulate clip_norm clip_value ema ema_overwrite_frequency compile seed fixed freeze_normalization screen "
    "shards fast_reduce",
}
FUNCTIONS = {
    "build_backbone": "name weights size pretrained seed",
    "export_model": "model out format input photos runtime precision screen",
    "list_backbones": "pattern",
    "resume": "folder screen started callbacks photos options",
    "show_photos": "folder n labels",
    "train": "photos screen config callbacks options",
}
MODULES = {"callbacks", "recipes"}
NAMES = ERRORS | set(CLASSES) | set(FUNCTIONS) | MODULES | {"__version__"}


def parameters(called):
    return " ".join(inspect.signature(called).parameters)


def test_the_public_names_are_these():
    assert set(regraft.__all__) == NAMES
    assert set(dir(regraft)) == NAMES


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_public_class_takes_these_arguments(name):
    assert inspect.isclass(getattr(regraft, name))
    assert parameters(getattr(regraft, name)) == CLASSES[name]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_public_function_takes_these_arguments(name):
    assert inspect.isfunction(getattr(regraft, name))
    assert parameters(getattr(regraft, name)) == FUNCTIONS[name]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_public_module_is_that_of_its_name(name):
    assert getattr(regraft, name) is importlib.import_module(f"regraft.{name}")


def test_the_version_is_three_numbers():
    assert re.fullmatch(r"\d+\.\d+\.\d+", regraft.__version__)


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
