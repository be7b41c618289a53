"""Files of a classifier that a `Trainer` or a `ModelCheckpoint` wrote: weights, metadata, often optimizer state.

The tensors have the names of the module's ``state_dict``. This module reads them without the training package, by
content and not by suffix, and renames them to those of a model file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from regraft.disk.hdf5_file import read_hdf5
from regraft.disk.safetensors_file import CHECKSUM, Block, checksum, read_blocks
from regraft.disk.torch_file import (
    MoreThanTensorsError,
    StridedTensor,
    TorchFileError,
    read_torch_file,
    unwrap_state_dict,
)
from regraft.errors import ModelFileError
from regraft.models.ensemble_metadata import EnsembleMetadata
from regraft.models.model_metadata import CLASSIFIER_KEY, FormatError, ModelMetadata
from regraft.tensors import DTYPES, strided_tensor

TRAINER_FORMAT = "regraft-weights"
"""Format name in the metadata of a file that a `Trainer` wrote."""

TRAINING_STATE = "training_state/"
_SNAPSHOT = "regraft-state"
_WRAPPERS = ("_orig_mod.", "module.")
"""Prefixes that torch.compile and DataParallel add to names."""

_BACKBONE, _HEAD = "backbone.network.", "head."


@dataclass(frozen=True)
class FileContent:
    """Tensors and metadata of a file.

    Attributes:
        tensors: tensors by name; those of a classifier have the names of a model file.
        classifier: whether the tensors are a classifier's.
        metadata: classes and backbone; None if the file does not contain them.
        trainer: whether a `Trainer` wrote the file.
    """

    tensors: dict[str, torch.Tensor]
    classifier: bool
    metadata: ModelMetadata | EnsembleMetadata | None
    trainer: bool


def read_trainer_file(path: Path) -> FileContent:
    """Read a file of weights: safetensors, an archive of ``torch.save``, or HDF5. No code is run.

    Raises:
        ModelFileError: the file is damaged or has another format.
    """
    found, facts = _read_tensors(path)
    if facts.get("format") == _SNAPSHOT:
        raise ModelFileError(
            f"{path} is a snapshot of an interrupted training, not a model\n"
            "  resume the training: `regraft resume RUN`, or fit(resume=FOLDER)"
        )
    tensors = _unwrapped({name: tensor for name, tensor in found.items() if not name.startswith(TRAINING_STATE)})
    classifier = any(name.startswith(_BACKBONE) for name in tensors)
    if classifier:
        tensors = {name.replace(_BACKBONE, "backbone.", 1): tensor for name, tensor in tensors.items()}
    metadata: ModelMetadata | None = None
    if CLASSIFIER_KEY in facts:
        try:
            metadata = ModelMetadata.from_text(facts, CLASSIFIER_KEY)
        except FormatError as error:
            raise ModelFileError(f"{path} is not a usable model file: {error}") from error
    return FileContent(tensors, classifier, metadata, facts.get("format") == TRAINER_FORMAT)


def _read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        return _read_archive(path)
    blocks, facts = read_hdf5(path) if start == b"\x89HDF" else read_blocks(path, foreign=True)
    return {name: _tensor_of_block(block) for name, block in blocks.items() if block.dtype in DTYPES}, facts


def _read_archive(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        content = read_torch_file(path)
    except MoreThanTensorsError as error:
        raise ModelFileError(
            f"{path} contains a whole Python object, written by torch.save; reading it runs code, so it is not read\n"
            "  if you trust the file: torch.load(FILE, weights_only=False), then save('model.safetensors') of the "
            "loaded classifier"
        ) from error
    except TorchFileError as error:
        raise ModelFileError(
            f"{path} is not a usable model file: it begins as a zip archive, as torch.save writes it, but {error}"
        ) from error
    facts: dict[str, str] = {}
    if isinstance(content, dict) and set(content) == {"tensors", "metadata"}:
        content, facts = content["tensors"], dict(content["metadata"])
    content = unwrap_state_dict(content)
    if not isinstance(content, dict):
        raise ModelFileError(f"{path} contains no tensors by name")
    tensors = {str(name): strided_tensor(one) for name, one in content.items() if isinstance(one, StridedTensor)}
    if facts and facts.pop(CHECKSUM, None) != checksum(_blocks(tensors), facts):
        raise ModelFileError(f"{path} is damaged: its content does not match its checksum")
    return tensors, facts


def _tensor_of_block(block: Block) -> torch.Tensor:
    if 0 in block.shape:
        return torch.empty(block.shape, dtype=DTYPES[block.dtype])
    return torch.frombuffer(bytearray(block.data), dtype=torch.uint8).view(DTYPES[block.dtype]).reshape(block.shape)


def _blocks(tensors: Mapping[str, torch.Tensor]) -> dict[str, Block]:
    return {
        name: Block(str(t.dtype), tuple(t.shape), t.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        for name, t in tensors.items()
    }


def _unwrapped(tensors: dict[str, Any]) -> dict[str, Any]:
    for prefix in _WRAPPERS:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors
