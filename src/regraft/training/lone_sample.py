"""Batches of one sample in front of batch normalization, which needs more than one value per channel to train.

A data set of 33 samples in batches of 32 ends in such a batch. Keras trains on it; torch raises. Here the sample is
trained on, with the running statistics of the normalization layers in place of those of its batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from regraft.errors import TrainingError
from regraft.training.modes import Say, in_inference, keeps_statistics, undone_on_error
from regraft.training.pytree import leaves

TORCH_SAYS = "Expected more than 1 value per channel"


class LoneSample:
    """Calls the module in training; a batch of one sample also works.

    Args:
        forward: the module, or its compiled form.
        module: the module itself.
        device: where it runs.
        larger_before: returns whether this epoch already had other samples.
        say: prints a label and a text on the screen.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        module: nn.Module,
        device: torch.device,
        larger_before: Callable[[], bool],
        say: Say,
    ) -> None:
        self._forward, self._module, self._device = forward, module, device
        self._larger_before, self._say = larger_before, say
        self._larger = self._reported = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs of the module.

        Raises:
            TrainingError: all batches so far had one sample, and a normalization layer needs more.
        """
        if _size(args, kwargs) != 1:
            self._larger = True
            return self._forward(*args, **kwargs)
        layers = {n: m for n, m in self._module.named_modules() if keeps_statistics(m) and m.training}
        if not layers:
            return self._forward(*args, **kwargs)
        try:
            with undone_on_error(self._module, self._device):
                return self._forward(*args, **kwargs)
        except Exception as error:
            if TORCH_SAYS not in str(error):
                raise
            if not (self._larger or self._larger_before()):
                raise TrainingError(_advice(layers)) from error
        if not self._reported:
            self._reported = True
            self._say("batches", "in a batch of 1 sample, normalization uses its running statistics")
        with in_inference(layers.values()):
            return self._forward(*args, **kwargs)


def _size(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    first = args[0] if args else None
    if isinstance(first, Tensor):
        return first.shape[0] if first.ndim else 0
    first = next((leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, Tensor)), None)
    return len(first) if first is not None and first.ndim else 0


def _advice(layers: dict[str, nn.Module]) -> str:
    name, layer = next(iter(layers.items()))
    return (
        f"a batch of 1 sample cannot train the normalization layer {name or 'module'} ({type(layer).__name__}), which "
        "needs more than one value per channel; expected batches of 2 samples or more: pass a larger batch_size, or "
        "freeze the layer with requires_grad_(False)"
    )
