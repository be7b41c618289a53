"""Modules of a network as Keras layers, and the table of ``model.summary()``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regraft.errors import TrainingError
from regraft.training.pytree import to_numpy
from regraft.training.weight_views import Weight, views, views_of

#: Attributes of Keras's layers that a torch module does not have, and what to use.
MISSING = {
    "input": "a torch module has no symbolic input; register a forward hook on layer.module",
    "output": "a torch module has no symbolic output; register a forward hook on layer.module",
    "input_shape": "a torch module does not fix its input's shape",
    "output_shape": "a torch module does not fix its output's shape",
    "kernel": "use layer.module.weight, which is the transpose of a Keras kernel",
    "activation": "a torch module's activation is a module of its own, or part of forward",
    "get_config": "a torch module has no configuration",
}
RENAMED = {"rate": "p", "units": "out_features", "filters": "out_channels", "strides": "stride"}


class Layer:
    """A module as a Keras layer: ``name``, ``weights``, ``get_weights()``, ``trainable``.

    Other attributes are those of the torch module; setting one sets it there.

    Args:
        name: the name in the network.
        module: the torch module.
        whole: whether the modules inside belong to it; otherwise only its direct weights are included.
    """

    def __init__(self, name: str, module: nn.Module, whole: bool = True) -> None:
        self.name = name or "module"
        self.module = module
        self._whole = whole
        self._trainable = True

    @property
    def trainable(self) -> bool:
        """True if training changes the weights; False freezes them: normalization layers stay in inference mode."""
        parameters = list(self.module.parameters(recurse=self._whole))
        return any(p.requires_grad for p in parameters) if parameters else self._trainable

    @trainable.setter
    def trainable(self, value: Any) -> None:
        self._trainable = bool(value)
        for parameter in self.module.parameters(recurse=self._whole):
            parameter.requires_grad_(bool(value))

    def tensors(self) -> Iterator[Tensor]:
        """Yield its parameters and buffers."""
        yield from self.module.parameters(recurse=self._whole)
        yield from self.module.buffers(recurse=self._whole)

    @property
    def weights(self) -> list[Weight]:
        """Its parameters and buffers."""
        named = [*self.module.named_parameters(recurse=self._whole), *self.module.named_buffers(recurse=self._whole)]
        return views(named, self.name)

    variables = weights

    @property
    def trainable_weights(self) -> list[Weight]:
        """The parameters that need a gradient."""
        return views_of(self.module, trainable=True, recurse=self._whole, prefix=self.name)

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """The parameters that need no gradient, and the buffers."""
        return views_of(self.module, trainable=False, recurse=self._whole, prefix=self.name)

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def count_params(self) -> int:
        """Return the number of parameters."""
        return sum(p.numel() for p in self.module.parameters(recurse=self._whole))

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return copies of its parameters and buffers, as arrays in torch's layout."""
        return [np.array(to_numpy(w)) for w in self.tensors()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set its parameters and buffers, in the order of `get_weights`.

        Raises:
            TrainingError: their number or a shape differs from the layer's.
        """
        set_tensors(f"layer {self.name}", {str(i): w for i, w in enumerate(self.tensors())}, weights)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the module returns."""
        return self.module(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "module" not in self.__dict__:
            raise AttributeError(name)
        module = self.__dict__["module"]
        if hasattr(module, name):
            return getattr(module, name)
        if name in RENAMED and hasattr(module, RENAMED[name]):
            return getattr(module, RENAMED[name])
        hint = f"; {MISSING[name]}" if name in MISSING else ""
        raise AttributeError(f"the layer {self.name!r} (a {type(module).__name__}) has no {name!r}{hint}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("name", "module") or name.startswith("_") or hasattr(type(self), name):
            object.__setattr__(self, name, value)
            return
        target = name if hasattr(self.module, name) else RENAMED.get(name, name)
        if not hasattr(self.module, target):
            raise AttributeError(
                f"the layer {self.name!r} (a {type(self.module).__name__}) has no {name!r}: setting it would have no "
                "effect; set what the torch module has, through layer.module"
            )
        setattr(self.module, target, value)

    def __repr__(self) -> str:
        return f"<{type(self.module).__name__} name={self.name}>"


def layers_of(module: nn.Module) -> list[Layer]:
    """Return the modules that have weights of their own, in order.

    Activations, dropout and pooling are left out, so that the last layer is the head of a classifier: in Keras an
    activation is part of a layer.
    """
    layers = [Layer(name, one, whole=next(one.children(), None) is None) for name, one in module.named_modules()]
    return [layer for layer in layers if next(iter(layer.tensors()), None) is not None]


def layer_of(module: nn.Module, name: str | None, index: int | None) -> Layer:
    """Return the layer of that name or index, as Keras's ``get_layer``.

    Raises:
        TrainingError: neither or both are given, or there is no such layer.
    """
    if (name is None) == (index is None):
        raise TrainingError(f"get_layer takes a name or an index; found name={name!r}, index={index!r}")
    if index is not None:
        layers = layers_of(module)
        if not -len(layers) <= index < len(layers):
            raise TrainingError(f"get_layer: there is no layer {index}; the module has {len(layers)} layers")
        return layers[index]
    modules = dict(module.named_modules())
    if name == "module" and name not in modules:
        name = ""
    if name not in modules:
        names = [layer.name for layer in layers_of(module)]
        shown = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
        raise TrainingError(f"get_layer: there is no layer {name!r}; the module's layers are: {shown}")
    return Layer(str(name), modules[name])


@torch.no_grad()
def set_tensors(subject: str, own: dict[str, Tensor], given: Sequence[Any]) -> None:
    """Copy ``given`` into the tensors ``own``, in their order.

    Raises:
        TrainingError: the number or a shape differs; then no tensor was changed.
    """
    if len(given) != len(own):
        raise TrainingError(f"{subject}: set_weights was given {len(given)} arrays; the module has {len(own)}")
    tensors = [one if isinstance(one, Tensor) else torch.tensor(np.asarray(one)) for one in given]
    for (name, weight), tensor in zip(own.items(), tensors, strict=True):
        if tensor.shape != weight.shape:
            raise TrainingError(
                f"set_weights: {name} has shape {tuple(weight.shape)}, and was given {tuple(tensor.shape)}"
            )
    for weight, tensor in zip(own.values(), tensors, strict=True):
        weight.copy_(tensor)


def print_summary(title: str, module: nn.Module, print_fn: Callable[..., Any] | None = None) -> None:
    """Print a line for each layer: its name and kind, the shapes of its weights, and the number of its parameters.

    Args:
        title: the first line.
        module: the network.
        print_fn: called with each line; None: standard output.
    """
    say = print_fn or print
    rows = [("layer", "weights", "params", "trainable")]
    for layer in layers_of(module):
        shapes = " ".join(str(tuple(w.shape)) for w in layer.weights)
        count = layer.count_params()
        rows.append(
            (f"{layer.name} ({type(layer.module).__name__})", shapes, f"{count:,}", _state(layer.trainable, count))
        )
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    say(f"Model: {title}")
    for name, shapes, count_text, state in rows:
        say(f"{name:{widths[0]}}  {shapes:{widths[1]}}  {count_text:>{widths[2]}}  {state}".rstrip())
    total = sum(p.numel() for p in module.parameters())
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    say(f"Total params: {total:,}")
    say(f"Trainable params: {trained:,}")
    say(f"Non-trainable params: {total - trained:,}")


def _state(trainable: bool, count: int) -> str:
    if not count:
        return ""
    return "yes" if trainable else "no"
