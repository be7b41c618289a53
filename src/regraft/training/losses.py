"""Losses by name and by object, with weights per sample."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from regraft.errors import TrainingError, did_you_mean
from regraft.training import keras_losses

Takes = Literal["logits", "probabilities", "any"]

TORCH_LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "nll_loss": functional.nll_loss,
    "binary_cross_entropy": functional.binary_cross_entropy,
    "binary_cross_entropy_with_logits": functional.binary_cross_entropy_with_logits,
    "bce_with_logits": functional.binary_cross_entropy_with_logits,
    "mse_loss": functional.mse_loss,
    "l1_loss": functional.l1_loss,
    "smooth_l1_loss": functional.smooth_l1_loss,
    "huber_loss": functional.huber_loss,
    "kl_div": functional.kl_div,
    "poisson_nll_loss": functional.poisson_nll_loss,
    "soft_margin_loss": functional.soft_margin_loss,
    "multilabel_soft_margin_loss": functional.multilabel_soft_margin_loss,
}
LOGITS = ("cross_entropy", "binary_cross_entropy_with_logits")


class Loss:
    """One loss, reduced over a batch as Keras does: ``sum(weight * loss) / number of losses``.

    Args:
        name: how it is called in the logs of several outputs.
        mean: ``f(output, target)``: the loss of a batch without weights, a tensor without dimensions.
        each: ``f(output, target)``: the loss of each sample, first dimension the samples; None if it cannot be had.
        takes: what the output has to be; ``"probabilities"`` is checked at the first batch.
        sums: the loss of a batch is the sum, not the mean.
        whole: it is handed all outputs and targets at once, as they are.
    """

    def __init__(
        self,
        name: str,
        mean: Callable[[Any, Any], Tensor],
        each: Callable[[Any, Any], Tensor] | None,
        *,
        takes: Takes = "any",
        sums: bool = False,
        whole: bool = False,
    ) -> None:
        self.name, self.mean, self.each = name, mean, each
        self.takes, self.sums, self.whole = takes, sums, whole
        self._checked = takes != "probabilities"

    def __call__(self, output: Any, target: Any, weight: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, a tensor without dimensions.

        Args:
            output: what the module gave, first dimension the samples.
            target: what it should have given.
            weight: (samples,) or the shape of the losses; None: all 1.

        Raises:
            TrainingError: there are weights, and the loss gives only one number for the batch.
        """
        if not self._checked:
            self._check(output)
        if self.takes == "logits":
            target = _suiting(target, output)
        if weight is None:
            value = self.mean(output, target)
            return value if value.ndim == 0 else value.mean()
        values = self.each(output, target) if self.each else self.mean(output, target)
        if values.ndim == 0:
            raise TrainingError(
                f"the loss {self.name} gives one number for the batch, so samples cannot be weighted; let it return "
                "one loss per sample"
            )
        weight = weight.to(values.dtype)
        weighted = values * weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
        return weighted.sum() if self.sums else weighted.sum() / values.numel()

    def _check(self, output: Any) -> None:
        self._checked = True
        if isinstance(output, Tensor) and not bool(((output >= -1e-4) & (output <= 1 + 1e-4)).all()):
            raise TrainingError(
                f"loss={self.name!r} is Keras's, which takes probabilities, but the module gives values outside 0 to "
                "1; use loss='cross_entropy' (or 'bce_with_logits') for a module without a softmax (sigmoid)"
            )


def loss_of(given: Any) -> Loss:
    """Return ``given`` as a `Loss`.

    A name is one of `torch.nn.functional` (``"cross_entropy"``, on logits) or one of Keras
    (``"sparse_categorical_crossentropy"``, on probabilities). A torch loss module, or any function of (output, target),
    is taken as it is.

    Raises:
        TrainingError: no such loss.
    """
    if isinstance(given, Loss):
        return given
    if isinstance(given, str):
        return _by_name(given)
    if isinstance(given, type):
        raise TrainingError(f"loss is the class {given.__name__}, not an object of it: write {given.__name__}()")
    if not callable(given):
        raise TrainingError(f"loss is a {type(given).__name__}; expected a name, a torch loss or a function")
    name = str(getattr(given, "__name__", type(given).__name__)).lower()
    reduction = getattr(given, "reduction", None)
    if isinstance(given, nn.Module) and isinstance(reduction, str):
        unreduced = copy.copy(given)
        unreduced.reduction = "none"  # type: ignore[assignment]
        return Loss(name, given, unreduced, takes=_takes_of(given), sums=reduction == "sum")
    if _has_reduction(given):
        takes: Takes = "logits" if name in LOGITS else "any"
        return Loss(name, given, partial(given, reduction="none"), takes=takes)
    return Loss(name, given, None, whole=True)


def _by_name(name: str) -> Loss:
    if name in TORCH_LOSSES:
        function = TORCH_LOSSES[name]
        takes: Takes = "logits" if function.__name__ in LOGITS else "any"
        return Loss(name, function, partial(function, reduction="none"), takes=takes)
    if name in keras_losses.LOSSES:
        each = keras_losses.LOSSES[name]
        takes = "probabilities" if "crossentropy" in each.__name__ else "any"
        return Loss(name, each, each, takes=takes)
    known = [*TORCH_LOSSES, *keras_losses.LOSSES]
    raise TrainingError(f"no loss is called {name!r}{did_you_mean(name, known)} There are: {', '.join(known)}")


def _suiting(target: Any, output: Any) -> Any:
    """Give the target of a loss on logits the type that torch insists on: int64 classes, or floats as the output."""
    if not isinstance(target, Tensor) or not isinstance(output, Tensor):
        return target
    if target.is_floating_point():
        return target
    if target.ndim < output.ndim and output.shape[-1] != 1:
        return target.long()
    if target.ndim == output.ndim and output.ndim > 1 and target.shape[-1] == 1 and output.shape[-1] > 1:
        return target.squeeze(-1).long()
    return target.to(output.dtype).reshape(output.shape) if target.numel() == output.numel() else target


def _takes_of(module: nn.Module) -> Takes:
    return "logits" if isinstance(module, (nn.CrossEntropyLoss, nn.BCEWithLogitsLoss)) else "any"


def _has_reduction(function: Any) -> bool:
    if isinstance(function, torch.nn.Module):
        return False
    try:
        return "reduction" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
