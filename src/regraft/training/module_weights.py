"""The layers, weights and files of a `Trainer`, under the names of Keras's `Model`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from regraft.training.components import Components
from regraft.training.layers import Layer, layer_of, layers_of, print_summary, set_tensors
from regraft.training.optimizers.ema import EMA
from regraft.training.optimizers.optimizer_view import OptimizerView
from regraft.training.optimizers.trainable import Trainables
from regraft.training.pytree import to_numpy
from regraft.training.saving.saved_state import load_training_state, training_state_of
from regraft.training.saving.weights_file import file_metadata_of, read_weights, write_weights
from regraft.training.weight_views import Weight, views, views_of


class ModuleWeights:
    """Reads, sets, saves and loads the weights of a module, with the state of its training."""

    module: nn.Module
    optimizer: OptimizerView | None
    ema: EMA | None
    components: Components
    trainables: Trainables
    fixed: frozenset[str]

    @property
    def name(self) -> str:
        """The class name of the module."""
        return type(self.module).__name__.lower()

    @property
    def trainable(self) -> bool:
        """True if training changes any weight. Setting it freezes, or unfreezes, all parameters."""
        return any(p.requires_grad for p in self.module.parameters())

    @trainable.setter
    def trainable(self, value: Any) -> None:
        self.module.requires_grad_(bool(value))

    @property
    def layers(self) -> list[Layer]:
        """The modules that have weights of their own, in order; `get_layer` finds the others by name."""
        return layers_of(self.module)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return the layer of that name, such as ``"layer1.0.conv1"``, or at that index in `layers`.

        Raises:
            TrainingError: neither or both are given, or there is no such layer.
        """
        return layer_of(self.module, name, index)

    def summary(self, line_length: int | None = None, positions: Any = None, print_fn: Any = None, **_: Any) -> None:
        """Print the layers, the shapes of their weights and the number of parameters, by ``print_fn`` if given."""
        print_summary(self.name, self.module, print_fn)

    @property
    def weights(self) -> list[Weight]:
        """All tensors of the module's ``state_dict``, in its order."""
        return views(self.module.state_dict(keep_vars=True))

    @property
    def trainable_weights(self) -> list[Weight]:
        """The parameters that need a gradient."""
        return views_of(self.module, trainable=True)

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """The parameters that need no gradient, and the buffers."""
        return views_of(self.module, trainable=False)

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights
    variables = weights

    def count_params(self) -> int:
        """Return the number of parameters."""
        return sum(p.numel() for p in self.module.parameters())

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return copies of all parameters and buffers, as arrays in the order of the ``state_dict``."""
        return [np.array(to_numpy(w)) for w in self.module.state_dict().values()]

    def changing_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return copies of the parameters and buffers that training may change: all but those in ``fixed``."""
        return [np.array(to_numpy(w)) for name, w in self.module.state_dict().items() if name not in self.fixed]

    def set_changing_weights(self, weights: Sequence[Any]) -> None:
        """Set what `changing_weights` returned."""
        self._about_to_replace()
        set_tensors("the module", {n: w for n, w in self.module.state_dict().items() if n not in self.fixed}, weights)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all parameters and buffers, in the order of `get_weights`.

        Raises:
            TrainingError: their number or a shape differs from the module's.
        """
        self._about_to_replace()
        set_tensors("the module", self.module.state_dict(), weights)

    def _about_to_replace(self) -> None:
        """Tell the moving average that the weights are set from outside of training."""
        if self.ema is not None:
            self.ema.about_to_replace()

    def training_state(self) -> dict[str, Any]:
        """Return the state of the optimizer, the moving average and the loss scaling; only of those in use."""
        return training_state_of(self)

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `training_state` returned.

        Raises:
            TrainingError: the state has a part that this trainer was made without.
        """
        load_training_state(self, state)

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True, **kwargs: Any) -> None:
        """Write weights, optimizer and moving average to one file; the suffix determines the format.

        ``.safetensors`` (also ``.keras``), ``.h5`` (also ``.hdf5``, ``.weights.h5``) or ``.pt`` (also ``.pth``,
        ``.ckpt``, ``.bin``). If writing fails, an existing file is unchanged.

        Raises:
            TrainingError: another suffix, or the file exists and ``overwrite`` is False.
        """
        facts = file_metadata_of(self.module)
        write_weights(filepath, self.module.state_dict(), self.training_state(), overwrite=overwrite, facts=facts)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True, **kwargs: Any) -> None:
        """Write only the weights, as `save` does."""
        write_weights(filepath, self.module.state_dict(), {}, overwrite=overwrite, facts=file_metadata_of(self.module))

    def load_weights(self, filepath: str | os.PathLike[str], **kwargs: Any) -> None:
        """Read the weights of a file that `save` or `save_weights` wrote.

        Raises:
            ModelFileError: the file is damaged or foreign.
            WeightsError: some tensors do not fit the module; all of them are named.
        """
        weights, _ = read_weights(filepath, self.module.state_dict(), self.module)
        self._about_to_replace()
        self.module.load_state_dict(weights)

    def load(self, filepath: str | os.PathLike[str]) -> None:
        """Read the weights of a file, and the optimizer and moving average if it has them.

        Raises:
            ModelFileError: the file is damaged or foreign.
            WeightsError: some tensors do not fit the module; all of them are named.
        """
        weights, state = read_weights(filepath, self.module.state_dict(), self.module)
        self._about_to_replace()
        self.module.load_state_dict(weights)
        if state:
            self.load_training_state(state)
