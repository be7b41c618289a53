"""The model file that a path means: the path itself, or the model file in a run folder. It needs no torch."""

from __future__ import annotations

from pathlib import Path

from regraft.data.file_types import PHOTO_SUFFIXES
from regraft.errors import ModelFileError
from regraft.run.folder import RunFolder

_WEIGHT_SUFFIXES = (".safetensors", ".keras", ".h5", ".hdf5", ".pt", ".pth", ".ckpt")
_EXPORTED_SUFFIXES = (".onnx", ".xml", ".html")
_TRAIN = "train a classifier first: regraft train PHOTOS"


def find_model_file(path: Path) -> Path:
    """Return the model file of ``path``: the path itself, or the model file in a run folder.

    Raises:
        ModelFileError: there is none; the message says what the path is, and what to name instead.
    """
    if not path.exists():
        raise ModelFileError(f"no such run folder or model file: {path}")
    if not path.is_dir():
        _check_kind(path)
        return path
    inside = RunFolder(path).model
    if inside.exists():
        return inside
    why = "the run did not finish" if RunFolder(path).config.exists() else "it is not a run folder"
    raise ModelFileError(f"{path} contains no {inside.name}: {why}\n  {_next_step(path)}")


def _check_kind(path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix in _EXPORTED_SUFFIXES:
        raise ModelFileError(
            f"{path} is an exported file for other programs; expected a run folder or a model.safetensors\n"
            "  name the run that it was exported from"
        )
    if suffix in PHOTO_SUFFIXES:
        raise ModelFileError(f"{path} is a photo; expected a run folder or a model.safetensors\n  {_TRAIN}")


def _next_step(folder: Path) -> str:
    """Return what to do about a folder without a model file."""
    if RunFolder(folder).config.exists():
        return f"finish it: regraft resume {folder}"
    inside = sorted(folder.iterdir())
    weights = [one.name for one in inside if one.suffix in _WEIGHT_SUFFIXES]
    if weights:
        return f"it contains {', '.join(weights[:5])}: name that file"
    runs = [one for one in inside if one.is_dir() and RunFolder(one).model.exists()]
    if runs:
        return f"it contains runs: name one of them, such as {runs[-1]}"
    if any(one.suffix in _EXPORTED_SUFFIXES for one in inside):
        return "it contains an exported file for other programs: name the run that it was exported from"
    return f"name the folder of a finished training, or {_TRAIN}"
