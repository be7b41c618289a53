"""Classifiers of regraft as weights to start from: a run folder or a model file, given as ``--weights``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from regraft.disk.safetensors_file import HeaderError, read_header
from regraft.errors import WeightsError
from regraft.run.folder import RunFolder
from regraft.text import command

FROZEN = ("linear-probe", "feature-extraction")
"""Results whose backbone is as it was pretrained."""


@dataclass(frozen=True)
class OwnWeights:
    """A classifier to start from.

    Attributes:
        file: its model file.
        run: its run folder, or None for a model file elsewhere.
        backbone: name of its network, or names joined by ``+``.
        size: side of the network's square input in pixels, or None.
        classes: names of its classes.
        trained: whether its backbone was trained; True if that is not known.
        held_back: whether its run held back photos for a test; False without a run folder.
    """

    file: Path
    run: Path | None
    backbone: str
    size: int | None
    classes: tuple[str, ...]
    trained: bool
    held_back: bool


def model_file_of_run(path: Path) -> Path:
    """Return the model file of a run folder; any other path is returned as it is.

    Raises:
        WeightsError: the run is not finished.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        return path
    if not folder.model.exists():
        raise WeightsError(
            f"{path} is a run folder without a model: the run did not finish\n"
            f"  continue it with  {command('regraft', 'resume', path)}"
        )
    return folder.model


def own_weights(path: Path) -> OwnWeights | None:
    """Return the classifier of regraft at ``path``, a run folder or a model file; None for other weights.

    Raises:
        WeightsError: the run is not finished.
    """
    from regraft.models.ensemble_metadata import metadata_from_text  # imports torch
    from regraft.models.model_metadata import FormatError, ModelMetadata

    file = model_file_of_run(path)
    if not file.is_file() or file.suffix != ".safetensors":
        return None
    try:
        metadata = metadata_from_text(read_header(file).metadata)
    except (OSError, HeaderError, FormatError):
        return None
    specs = [metadata.backbone] if isinstance(metadata, ModelMetadata) else [m.backbone for m in metadata.members]
    size = specs[-1].preprocessing
    folder = RunFolder(file.parent)
    is_of_run = file.name == folder.model.name and folder.config.exists() and folder.manifest.exists()
    return OwnWeights(
        file=file,
        run=folder.path if is_of_run else None,
        backbone="+".join(dict.fromkeys(spec.name for spec in specs)),
        size=size.height if size.height == size.width else None,
        classes=metadata.classes,
        trained=metadata.extra.get("chosen") not in FROZEN,
        held_back=is_of_run and not _headline(folder).endswith("out-of-fold"),
    )


def _headline(folder: RunFolder) -> str:
    try:
        return str(json.loads(folder.metrics.read_text(encoding="utf-8"))["headline"])
    except (OSError, ValueError, KeyError, TypeError):
        return "out-of-fold"
