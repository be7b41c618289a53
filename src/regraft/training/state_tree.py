"""A nested state of figures, texts and tensors, as one flat set of tensors and one text of JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.disk.atomic import atomic
from regraft.errors import ModelFileError

FORMAT = "regraft-state"
MARK = "$"  # a dict with this one key stands for what JSON has not


def flatten(state: Any, prefix: str) -> tuple[str, dict[str, Tensor]]:
    """Return ``state`` as JSON and its tensors by name.

    Args:
        state: dicts (keys text or whole numbers), lists, tuples, texts, numbers, booleans, None, tensors and arrays.
        prefix: what the names of the tensors begin with.

    Raises:
        TypeError: ``state`` holds something else.
    """
    tensors: dict[str, Tensor] = {}

    def put(value: Any) -> Any:
        if isinstance(value, (Tensor, np.ndarray)):
            name = f"{prefix}{len(tensors)}"
            kind = "tensor" if isinstance(value, Tensor) else "array"
            tensors[name] = value.detach() if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
            return {MARK: [kind, name]}
        if isinstance(value, np.generic):
            return put(value.item())
        if isinstance(value, Mapping):
            return {MARK: ["dict", [[put(key), put(one)] for key, one in value.items()]]}
        if isinstance(value, tuple):
            return {MARK: ["tuple", [put(one) for one in value]]}
        if isinstance(value, list):
            return [put(one) for one in value]
        if isinstance(value, float) and not math.isfinite(value):
            return {MARK: ["float", str(value)]}
        if value is None or isinstance(value, (str, int, float)):
            return value
        raise TypeError(f"a state holds figures, texts, lists, dicts and tensors, not a {type(value).__name__}")

    return json.dumps(put(state), ensure_ascii=False, allow_nan=False), tensors


def unflatten(text: str, tensors: Mapping[str, Tensor]) -> Any:
    """Return the state that `flatten` took apart.

    Raises:
        ModelFileError: ``text`` or ``tensors`` are not what `flatten` makes.
    """

    def get(value: Any) -> Any:
        if isinstance(value, list):
            return [get(one) for one in value]
        if not isinstance(value, dict):
            return value
        kind, content = value[MARK]
        if kind == "tensor":
            return tensors[content]
        if kind == "array":
            return tensors[content].numpy()
        if kind == "dict":
            return {get(key): get(one) for key, one in content}
        if kind == "tuple":
            return tuple(get(one) for one in content)
        if kind == "float":
            return float(content)
        raise ValueError(kind)

    try:
        return get(json.loads(text))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise ModelFileError(f"the saved training state cannot be read: {error!r}") from error


def write_state(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a state to ``path`` as safetensors, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors.torch import save_file

    text, tensors = flatten(state, "")
    whole = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic(Path(path)) as temporary:
        save_file(whole, temporary, {"format": FORMAT, "version": "1", "state": text})


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the state that `write_state` wrote.

    Raises:
        ModelFileError: the file is missing, damaged or foreign.
    """
    from safetensors import safe_open

    if not Path(path).is_file():
        raise ModelFileError(f"{os.fspath(path)}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors has its own errors for damage
        raise ModelFileError(f"{os.fspath(path)} is damaged: {error}") from error
    if metadata.get("format") != FORMAT:
        raise ModelFileError(f"{os.fspath(path)} is no saved state of training")
    found = unflatten(metadata["state"], tensors)
    return dict(found)
