"""Weight files in the format of their suffix: safetensors, HDF5 or torch's own."""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regraft.disk.atomic import atomic
from regraft.disk.hdf5_file import read_hdf5, write_hdf5
from regraft.disk.safetensors_file import CHECKSUM, Block, checksum, read_blocks, write_blocks
from regraft.disk.torch_file import MoreThanTensorsError, StridedTensor, is_archive, read_torch_file, unwrap_state_dict
from regraft.disk.weight_suffixes import FORMATS, advice
from regraft.disk.weight_suffixes import suffix_of as known_suffix
from regraft.errors import ModelFileError, TrainingError, WeightsError, several
from regraft.tensors import state_dict_mismatches, strided_tensor
from regraft.training.state_format import block_of, flatten, tensor_of, unflatten

FORMAT = "regraft-weights"
STATE = "training_state"
MODEL_FILE = "regraft"
"""Key in the metadata of model files, those of a run and of `Classifier.save`."""

Content = tuple[dict[str, Tensor], dict[str, str]]
_warned: set[str] = set()


def suffix_of(path: str | os.PathLike[str]) -> str:
    """Return the suffix of ``path`` that names its format.

    Raises:
        TrainingError: the suffix is unknown.
    """
    suffix = known_suffix(path)
    if suffix is None:
        raise TrainingError(f"{os.fspath(path)}: weights cannot be written to a file of this name; {advice(path)}")
    return suffix


def file_metadata_of(module: Any) -> dict[str, str]:
    """Return the metadata for a file of the module's weights: the result of its method ``file_metadata``, if it exists.

    That of `regraft.models.classifier.Classifier` has classes and preprocessing, so that its file is enough to predict.
    """
    asked = getattr(module, "file_metadata", None)
    return dict(asked()) if callable(asked) else {}


def write_weights(
    path: str | os.PathLike[str],
    weights: Mapping[str, Tensor],
    state: Mapping[str, Any],
    *,
    overwrite: bool = True,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write weights, a training state if it is not empty, and ``facts`` to ``path``, completely or not at all.

    Raises:
        TrainingError: the suffix is unknown, ``path`` is a folder, or the file exists and ``overwrite`` is False.
        OSError: the file cannot be written.
    """
    suffix, target = suffix_of(path), Path(path)
    if target.is_dir():
        raise TrainingError(f"{target} is a folder; expected the name of a file")
    if target.exists() and not overwrite:
        raise TrainingError(f"{target} exists; pass overwrite=True to replace it")
    if suffix == ".keras" and ".keras" not in _warned:
        _warned.add(".keras")
        warnings.warn(
            f"{target}: regraft's .keras files contain weights as safetensors, not a Keras archive",
            UserWarning,
            stacklevel=4,
        )
    tensors = {name: tensor.detach() for name, tensor in weights.items()}
    metadata = {**(facts or {}), "format": FORMAT, "version": "1"}
    if state:
        metadata[STATE], more = flatten(state, f"{STATE}/")
        tensors |= more
    with atomic(target) as temporary:
        try:
            _writer(suffix)(temporary, tensors, metadata)
        except RuntimeError as error:  # the libraries of .pt and .h5 raise it for errors of the disk
            full = shutil.disk_usage(target.parent).free < 1 << 20
            number = errno.ENOSPC if full else errno.EIO
            raise OSError(number, os.strerror(number), str(target)) from error


def read_weights(
    path: str | os.PathLike[str], own: Mapping[str, Tensor], module: Any = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights and the training state (empty if there is none) of a file.

    Args:
        path: a file that `write_weights` wrote, or one with the same tensors.
        own: the module's ``state_dict``, which the weights have to match.
        module: the module; if it has a method ``check_file_metadata``, that method gets the texts of the file, and
            raises if they contradict the module.

    Raises:
        ModelFileError: the file is missing, damaged or has another format.
        WeightsError: tensors are missing, unexpected, or have other shapes; the message names all of them.
    """
    suffix = suffix_of(path)
    if not Path(path).is_file():
        raise ModelFileError(f"{os.fspath(path)}: no such file")
    try:
        tensors, metadata = _reader(suffix)(Path(path))
    except ModelFileError:
        raise
    except Exception as error:  # each format has its own errors for damage
        raise ModelFileError(f"{os.fspath(path)} is damaged, or not a {suffix} file of weights: {error}") from error
    state = unflatten(metadata[STATE], tensors) if STATE in metadata else {}
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{STATE}/")}
    weights = _without_common_prefix(weights, own)
    problems = state_dict_mismatches(own, weights)
    if problems:
        subject = f"{os.fspath(path)} does not fit the module"
        if MODEL_FILE in metadata:  # its tensors have other names than any module's
            raise WeightsError(f"{subject}: it is a model file\n  Classifier.load(FILE) reads it")
        raise WeightsError(several(subject, problems))
    check = getattr(module, "check_file_metadata", None)
    if callable(check):
        check(os.fspath(path), metadata)
    return weights, state


def _without_common_prefix(weights: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights without the common prefix of their names, if the rest are exactly the module's names.

    Lightning adds ``model.``, ``DataParallel`` adds ``module.``, ``torch.compile`` adds ``_orig_mod.``.
    """
    stripped = weights
    while stripped and set(stripped) != set(own):
        prefixes = {name.partition(".")[0] + "." for name in stripped}
        if len(prefixes) > 1 or not all("." in name for name in stripped):
            return weights
        stripped = {name.partition(".")[2]: tensor for name, tensor in stripped.items()}
    return stripped or weights


def _writer(suffix: str) -> Callable[[Path, dict[str, Tensor], dict[str, str]], None]:
    return {"torch": _write_torch, "hdf5": _write_hdf5, "safetensors": _write_safetensors}[FORMATS[suffix]]


def _reader(suffix: str) -> Callable[[Path], Content]:
    return {"torch": _read_torch, "hdf5": _read_hdf5, "safetensors": _read_safetensors}[FORMATS[suffix]]


def _write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    write_blocks(path, {name: block_of(tensor) for name, tensor in tensors.items()}, metadata)


def _read_safetensors(path: Path) -> Content:
    blocks, metadata = read_blocks(path, foreign=True)
    return {name: tensor_of(block) for name, block in blocks.items()}, metadata


def _write_torch(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    weights = {name: tensor.cpu() for name, tensor in tensors.items()}
    torch.save({"tensors": weights, "metadata": {**metadata, CHECKSUM: _torch_checksum(weights, metadata)}}, path)


def _read_torch(path: Path) -> Content:
    if not is_archive(path):
        raise ModelFileError(
            f"{path} is damaged, or was written by torch.save before 2020\n  convert an older file with "
            "torch.save(torch.load(FILE), FILE)"
        )
    try:
        content = read_torch_file(path)
    except MoreThanTensorsError as error:
        raise ModelFileError(
            f"{path}: {error}\n  if you trust the file, save its weights alone: content = torch.load(FILE, "
            "weights_only=False), then torch.save(content['state_dict'], 'weights.pt')"
        ) from error
    plain = not isinstance(content, dict) or set(content) != {"tensors", "metadata"}
    tensors, metadata = (unwrap_state_dict(content), {}) if plain else (content["tensors"], dict(content["metadata"]))
    if not isinstance(tensors, dict) or not all(isinstance(one, StridedTensor) for one in tensors.values()):
        held = list(tensors)[:5] if isinstance(tensors, dict) else type(tensors).__name__
        raise ModelFileError(
            f"{path} is a file of torch.save, but contains no weights by name; found {held}\n  save the weights alone: "
            "torch.save(module.state_dict(), FILE)"
        )
    weights = {str(name): strided_tensor(one) for name, one in tensors.items()}
    claimed = metadata.pop(CHECKSUM, None)
    if not plain and claimed != _torch_checksum(weights, metadata):
        raise ModelFileError(f"{path} is damaged: its content does not match its checksum")
    return weights, metadata


def _torch_checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    blocks = {
        name: Block(str(t.dtype), tuple(t.shape), t.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        for name, t in tensors.items()
    }
    return checksum(blocks, metadata)


def _write_hdf5(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    write_hdf5(path, {name: block_of(tensor) for name, tensor in tensors.items()}, metadata)


def _read_hdf5(path: Path) -> Content:
    blocks, metadata = read_hdf5(path)
    return {name: tensor_of(block) for name, block in blocks.items()}, metadata
