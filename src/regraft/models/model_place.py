"""The model file that a path means: the path itself, or the model file in a run folder. It needs no torch."""

from __future__ import annotations

from pathlib import Path

from regraft.errors import ModelFileError
from regraft.run.folder import RunFolder

_WEIGHT_SUFFIXES = (".safetensors", ".keras", ".h5", ".hdf5", ".pt", ".pth", ".ckpt")


def find_model_file(path: Path) -> Path:
    """Return the model file of ``path``: the path itself, or the model file in a run folder.

    Raises:
        ModelFileError: there is none.
    """
    if not path.exists():
        raise ModelFileError(f"no such run folder or model file: {path}")
    if not path.is_dir():
        return path
    inside = RunFolder(path).model
    if inside.exists():
        return inside
    why = "the run did not finish" if RunFolder(path).config.exists() else "it is not a run folder"
    others = sorted(one.name for one in path.iterdir() if one.suffix in _WEIGHT_SUFFIXES)
    more = f"\n  it contains {', '.join(others[:5])}: name that file" if others else ""
    raise ModelFileError(f"{path} contains no {inside.name}: {why}{more}")
