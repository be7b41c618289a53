"""A table of a network's layers, as Keras's ``model.summary()``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from regraft.training.layers import layers_of


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
