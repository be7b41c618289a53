"""Weights of samples, as the data gives them: their form, and what cannot be one."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from regraft.errors import TrainingError
from regraft.training.pytree import leaves, tree_map

ROWS = 8
"""Number of samples from which different whole numbers are taken for the numbers of rows."""


def one_per_sample(weight: Any) -> Any:
    """Return weights (n, 1) as (n,); a tuple or dict has those of each output. None stays None.

    Raises:
        TrainingError: something is not a number, such as the path of a photo.
    """
    if weight is None:
        return None
    odd = next((leaf for leaf in leaves(weight) if not isinstance(leaf, Tensor)), None)
    if odd is not None:
        raise TrainingError(
            f"the third part of a batch is the weights of its samples; expected numbers, found {odd!r:.80}\n  let the "
            "data yield (x, y) or (x, y, weight)"
        )
    return tree_map(_flat, weight)


def _flat(weight: Tensor) -> Tensor:
    return weight.squeeze(1) if weight.ndim == 2 and weight.shape[1] == 1 else weight


def warn_of_row_numbers(weight: Any) -> None:
    """Warn if weights look like the numbers of rows, which some data sets yield as third part of a sample.

    The check synchronizes with the device.
    """
    if not isinstance(weight, Tensor) or weight.ndim != 1 or weight.is_floating_point() or len(weight) < ROWS:
        return
    if len(torch.unique(weight)) == len(weight):
        warnings.warn(
            "the third part of a batch is the weights of its samples; found different whole numbers, which look like "
            "the numbers of rows: let the data yield (x, y), or weights as floating-point numbers",
            RuntimeWarning,
            stacklevel=2,
        )


def check_fit(loss: str, weight: Tensor, values: Tensor) -> None:
    """Check that weights suit the losses of a batch.

    Raises:
        TrainingError: they do not, so that torch would multiply them in another way.
    """
    first = tuple(values.shape[: weight.ndim])
    fits = weight.ndim <= values.ndim and all(
        own in (size, 1) if place else own == size
        for place, (own, size) in enumerate(zip(weight.shape, first, strict=True))
    )
    if not fits:
        raise TrainingError(
            f"the weights of the samples have shape {tuple(weight.shape)}, and the losses of {loss} have shape "
            f"{tuple(values.shape)}; expected a weight for each sample, ({len(values)},)"
        )
