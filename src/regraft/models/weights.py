"""Weights from a file: read without running code, and loaded into a network completely or not at all."""

from __future__ import annotations

import itertools
import pickle
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regraft.disk.safetensors_file import HeaderError, read_header
from regraft.disk.torch_file import MoreThanTensorsError, StridedTensor, is_archive, read_torch_file, unwrap_state_dict
from regraft.errors import WeightsError, several
from regraft.models.blocks import HEAD
from regraft.models.feature_novelty import NOVELTY
from regraft.models.linear_head import BOUNDS
from regraft.models.model_metadata import MODEL_KEY
from regraft.models.own_weights import model_file_of_run
from regraft.models.trainer_file import TRAINER_FORMAT, TRAINING_STATE
from regraft.tensors import state_dict_mismatches, strided_tensor

OF_FEATURES = (NOVELTY, *(f"{HEAD}.{name}" for name in BOUNDS))
"""Beginnings of the names of tensors that describe the features of the training photos."""

_PICKLED = {".pt", ".pth", ".bin", ".tar", ".ckpt"}
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "network.", "net.", "encoder.")

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class WeightsFile:
    """Content of a file of weights.

    Attributes:
        state: tensors by name.
        metadata: text by key; empty for pickled files.
    """

    state: State
    metadata: dict[str, str]


def read_weights(path: Path) -> WeightsFile:
    """Read a file of weights: ``.safetensors``, or ``.pt``, ``.pth``, ``.bin`` with tensors only.

    Raises:
        WeightsError: the file is missing, damaged, contains no tensors, or would have to run code.
    """
    if path.is_dir():
        raise WeightsError(f"{path} is a folder; expected a file of weights for the backbone")
    if not path.is_file():
        raise WeightsError(f"no such weights file: {path}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in _PICKLED:
        return WeightsFile(_tensors(_read_pickled(path), path), {})
    known = ", ".join(sorted({".safetensors", *_PICKLED}))
    raise WeightsError(
        f"{path}: expected a weights file ending in one of {known}; found {path.suffix or 'no ending'!r}"
    )


def weights_file(path: Path, name: str) -> Path:
    """Return the file of weights of the network ``name``: the file of that name in a folder, or else ``path`` itself.

    Of a run folder it is the model file. A file without the tag of the weights, such as ``resnet18.pth`` for
    ``resnet18.a1_in1k``, is the second choice.

    Raises:
        WeightsError: the folder contains no file for this network, or is that of an unfinished run.
    """
    path = model_file_of_run(path)
    if not path.is_dir():
        return path
    suffixes = (".safetensors", *sorted(_PICKLED))
    files = [path / f"{stem}{suffix}" for stem in dict.fromkeys((name, name.partition(".")[0])) for suffix in suffixes]
    for file in files:
        if file.is_file():
            return file
    raise WeightsError(
        f"{path} contains no weights of {name}; expected a file such as {files[0].name} "
        f"(or with the ending {', '.join(suffixes[1:])})"
    )


def has_weights_of(folder: Path, name: str) -> bool:
    """Return whether a folder contains a file of weights of the network ``name``."""
    try:
        file = weights_file(folder, name)
    except WeightsError:
        return False
    return folder.is_dir() and file.stem in (name, name.partition(".")[0])


def fit_weights(network: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> tuple[str, ...]:
    """Load ``state`` into ``network``, all of it or nothing.

    Prefixes of wrappers are removed. The classifier of the pretraining is dropped, because `Classifier` has its own
    head. If names or shapes still differ, timm's conversion of older checkpoints is tried; it also resamples position
    embeddings to another input size. Counters of seen batches may be missing.

    Args:
        network: a network of timm, created with ``num_classes=0``.
        state: tensors by name.
        source: name of the weights in messages.

    Returns:
        Notes for the user, such as the dropped classifier.

    Raises:
        WeightsError: the message names every tensor that is missing, unexpected, or has another shape.
    """
    expected = network.state_dict()
    tensors = _unprefixed(state, expected)
    notes = _without_classifier(network, tensors, expected)
    problems = weight_mismatches(expected, tensors)
    if problems:
        converted = _converted_checkpoint(network, tensors, expected)
        if converted is None:
            raise WeightsError(several(f"{source} does not match the network", problems))
        tensors = converted
    with torch.no_grad():
        for name, value in expected.items():
            if name in tensors:
                value.copy_(tensors[name])
    return notes


def _read_safetensors(path: Path) -> WeightsFile:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        header = read_header(path)
        tensors = load_file(path)
        if (
            header.metadata.get("format") == TRAINER_FORMAT
        ):  # a Trainer wrote it: its optimizer's state is none of the weights
            tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(TRAINING_STATE)}
        if MODEL_KEY in header.metadata:  # a classifier: neither its novelty nor the bounds of its head are weights
            tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(OF_FEATURES)}
        return WeightsFile(tensors, header.metadata)
    except (HeaderError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a usable weights file: {error}") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_pickled(path: Path) -> Any:
    try:
        if is_archive(path):
            return _with_tensors(read_torch_file(path))
        with warnings.catch_warnings():  # the format before torch 1.6
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except (MoreThanTensorsError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"{path} contains more than tensors, or is damaged; loading it could run code, so it is not loaded\n"
            "  save the tensors alone: torch.save(model.state_dict(), FILE), or as .safetensors"
        ) from error
    except Exception as error:  # a damaged file can raise almost anything
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{path} is damaged, or not a file of torch.save: {line}") from error


def _with_tensors(value: Any, depth: int = 5) -> Any:
    """Return nested mappings with a tensor in place of each `StridedTensor`."""
    if isinstance(value, Mapping) and depth:
        return {key: _with_tensors(one, depth - 1) for key, one in value.items()}
    return strided_tensor(value) if isinstance(value, StridedTensor) else value


def _tensors(value: Any, path: Path) -> State:
    """Return the tensors by name, unwrapped from any outer dictionaries."""
    value = unwrap_state_dict(value)
    tensors = {}
    if isinstance(value, Mapping):
        tensors = {str(name): tensor for name, tensor in value.items() if isinstance(tensor, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"{path} contains no tensors by name; found {type(value).__name__}")
    return tensors


def _unprefixed(state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> State:
    """Return the state with prefixes removed if more names then match the network; other names stay."""
    tensors = dict(state)
    if all(name in tensors or _is_counter(name) for name in expected):
        return tensors
    for chain in itertools.chain.from_iterable(itertools.product(_PREFIXES, repeat=n) for n in (1, 2, 3)):
        prefix = "".join(chain)
        if not any(name.startswith(prefix) for name in state):
            continue
        bare = {name.removeprefix(prefix): value for name, value in state.items()}
        if len(bare) == len(state) and _matching_names(bare, expected) > _matching_names(tensors, expected):
            tensors = bare
    return tensors


def _matching_names(state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> int:
    return sum(name in expected for name in state)


def _without_classifier(network: nn.Module, tensors: State, expected: Mapping[str, torch.Tensor]) -> tuple[str, ...]:
    """Remove the classifier of the pretraining from ``tensors``, and return a note about it."""
    names = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    names = (names,) if isinstance(names, str) else tuple(names)
    dropped = {}
    for name in (*names, "head", "fc", "classifier"):
        for key in (f"{name}.weight", f"{name}.bias"):
            if key in tensors and key not in expected:
                dropped[key] = tensors.pop(key)
    classes = {value.shape[0] for key, value in dropped.items() if key.endswith(".weight") and value.ndim > 1}
    if not classes:
        return ()
    return (f"its classifier of {' and '.join(f'{n:,}' for n in sorted(classes))} classes was dropped",)


def weight_mismatches(expected: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the differences between the weights of a network and ``tensors``, one line each, without counters."""
    return state_dict_mismatches(expected, tensors, optional=_is_counter)


def _converted_checkpoint(network: nn.Module, tensors: State, expected: Mapping[str, torch.Tensor]) -> State | None:
    """Return ``tensors`` after timm's conversion of older checkpoints if it then matches, else None."""
    module = sys.modules[type(network).__module__]
    convert: Callable[..., Any] | None = getattr(module, "checkpoint_filter_fn", None)
    if convert is None:
        return None
    try:
        converted = convert(dict(tensors), network)
    except Exception:  # noqa: BLE001 - written for other checkpoints; what does not fit is reported as it was
        return None
    if not isinstance(converted, Mapping):
        return None
    state = {str(name): value for name, value in converted.items() if isinstance(value, torch.Tensor)}
    _without_classifier(network, state, expected)
    return None if weight_mismatches(expected, state) else state


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")
