"""What callbacks written for Keras expect of a model, on a torch module."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regraft.errors import TrainingError
from regraft.training.optimizer_view import OptimizerView
from regraft.training.structure import to_numpy
from regraft.training.weights_file import facts_of, read_weights, write_weights


class Layer:
    """A module that has weights of its own, seen as a Keras layer: ``name``, ``weights``, ``get_weights()``."""

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name = name or "module"
        self.module = module

    @property
    def weights(self) -> list[Tensor]:
        """Its parameters and buffers."""
        return [*self.module.parameters(recurse=False), *self.module.buffers(recurse=False)]

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return copies of its parameters and buffers, as arrays."""
        return [np.array(to_numpy(w)) for w in self.weights]


class KerasSurface:
    """Reading and setting weights, files, and the small attributes that callbacks look at."""

    module: nn.Module
    optimizer: OptimizerView | None
    fixed: frozenset[str]
    built = True
    jit_compile = False

    @property
    def name(self) -> str:
        """The class name of the module."""
        return type(self.module).__name__.lower()

    @property
    def trainable(self) -> bool:
        """Whether any parameter needs a gradient."""
        return any(p.requires_grad for p in self.module.parameters())

    @property
    def layers(self) -> list[Layer]:
        """The modules that have weights of their own."""
        found = [Layer(name, module) for name, module in self.module.named_modules()]
        return [layer for layer in found if layer.weights]

    @property
    def weights(self) -> list[Tensor]:
        """All tensors of the module's ``state_dict``, in its order."""
        return list(self.module.state_dict().values())

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The parameters that need a gradient."""
        return [p for p in self.module.parameters() if p.requires_grad]

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """The parameters that need no gradient, and the buffers."""
        return [*(p for p in self.module.parameters() if not p.requires_grad), *self.module.buffers()]

    trainable_variables = trainable_weights
    variables = weights

    def count_params(self) -> int:
        """Return the number of parameters."""
        return sum(p.numel() for p in self.module.parameters())

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return copies of all parameters and buffers, as arrays in the order of the ``state_dict``."""
        return [np.array(to_numpy(w)) for w in self.weights]

    def changing_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return copies of the parameters and buffers that training may change: all but those in ``fixed``."""
        return [np.array(to_numpy(w)) for name, w in self.module.state_dict().items() if name not in self.fixed]

    @torch.no_grad()
    def set_changing_weights(self, weights: Sequence[Any]) -> None:
        """Set what `changing_weights` returned."""
        own = [w for name, w in self.module.state_dict().items() if name not in self.fixed]
        for weight, given in zip(own, weights, strict=True):
            weight.copy_(torch.tensor(given))

    @torch.no_grad()
    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all parameters and buffers, in the order of `get_weights`.

        Raises:
            TrainingError: their number or a shape is not the module's.
        """
        state = self.module.state_dict()
        if len(weights) != len(state):
            raise TrainingError(f"set_weights was given {len(weights)} arrays; the module has {len(state)}")
        for (name, own), given in zip(state.items(), weights, strict=True):
            tensor = torch.tensor(np.asarray(given)) if not isinstance(given, Tensor) else given
            if tensor.shape != own.shape:
                raise TrainingError(
                    f"set_weights: {name} has shape {tuple(own.shape)}, and was given {tuple(tensor.shape)}"
                )
            own.copy_(tensor)

    def training_state(self) -> dict[str, Any]:
        """Return what `save` writes beside the weights."""
        return {}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `training_state` returned."""

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True, **kwargs: Any) -> None:
        """Write weights, optimizer and moving average to one file; the suffix says how.

        ``.safetensors`` (also as ``.keras``), ``.h5``, ``.weights.h5`` or ``.pt``. The file is whole or as it was.

        Raises:
            TrainingError: another suffix, or the file exists and ``overwrite`` is False.
        """
        facts = facts_of(self.module)
        write_weights(filepath, self.module.state_dict(), self.training_state(), overwrite=overwrite, facts=facts)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True, **kwargs: Any) -> None:
        """Write only the weights, as `save` does."""
        write_weights(filepath, self.module.state_dict(), {}, overwrite=overwrite, facts=facts_of(self.module))

    def load_weights(self, filepath: str | os.PathLike[str], **kwargs: Any) -> None:
        """Read the weights of a file that `save` or `save_weights` wrote.

        Raises:
            ModelFileError: the file is damaged or foreign.
            WeightsError: its tensors do not fit the module; all that do not are named.
        """
        weights, _ = read_weights(filepath, self.module.state_dict(), self.module)
        self.module.load_state_dict(weights)

    def load(self, filepath: str | os.PathLike[str]) -> None:
        """Read the weights of a file, and the optimizer and moving average if it has them.

        Raises:
            ModelFileError: the file is damaged or foreign.
            WeightsError: its tensors do not fit the module; all that do not are named.
        """
        weights, state = read_weights(filepath, self.module.state_dict(), self.module)
        self.module.load_state_dict(weights)
        if state:
            self.load_training_state(state)
