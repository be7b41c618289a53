"""Losses: one loss over a batch, weighted and reduced as in Keras; and the loss for a name, an object or a function."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from regraft.errors import TrainingError
from regraft.training.losses.ignored import counted_losses, ignored_in
from regraft.training.losses.loss_names import KERAS, TORCH, NamedLoss, Takes, keras_name, named_loss
from regraft.training.losses.odd_outputs import warn_of_activation, warn_of_logarithms
from regraft.training.losses.reading import Reading, called_target_first, inside_unit, warn_of_table
from regraft.training.losses.sample_weights import check_fit
from regraft.training.losses.targets import Targets, of_long_numbers
from regraft.training.third_party import (
    has_reduction,
    is_keras,
    keras_loss_function,
    refuse_array_functions,
    takes_target_first,
    unwrapped,
)


class Loss:
    """One loss, reduced over a batch as Keras does: ``sum(weight * loss) / number of losses``.

    Example:
        >>> def each(output, target):
        ...     return (output - target).abs().mean(-1)
        >>> loss = Loss('distance', lambda output, target: each(output, target).mean(), each)
        >>> output, target = torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1)
        >>> loss(output, target)
        tensor(2.)
        >>> loss(output, target, torch.tensor([1.0, 0.0]))  # the weights of the samples
        tensor(0.5000)

    Args:
        name: name in the logs of several outputs.
        mean: ``f(output, target)``: the loss of a batch without weights, a tensor without dimensions.
        each: ``f(output, target)``: the loss of each sample, first dimension the samples; None if unavailable.
        takes: expected outputs; ``"probabilities"`` is checked at the first batch.
        sums: whether the loss of a batch is the sum, not the mean.
        whole: whether it gets all outputs and targets of the module at once, unchanged.
        binary: whether each output is a binary prediction, as with binary cross-entropy.
        targets: the targets that it takes; None: any.
        axis: dimension of the classes: 1 as in torch, -1 as in Keras.
        count: ``f(output, target)``: the number of losses that ``mean`` divides by; None: all.
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
        binary: bool = False,
        targets: Targets | None = None,
        axis: int = 1,
        count: Callable[[Tensor, Tensor], Any] | None = None,
    ) -> None:
        self.name, self.mean, self.each, self.count = name, mean, each, count
        self.takes, self.sums, self.whole = takes, sums, whole
        self.targets = targets or Targets(name)
        self.reading = Reading(takes == "logits", binary, axis, ignored=self.targets.ignored)
        self._checked = False

    def __call__(self, output: Any, target: Any, weight: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, a tensor without dimensions.

        Args:
            output: the module's output, first dimension the samples.
            target: the targets.
            weight: (samples,) or the shape of the losses; None: all 1.

        Raises:
            TrainingError: there are weights, but the loss returns only one number for the batch; or outputs and targets
                do not fit the loss.
        """
        suited = self.targets.suited(output, target)
        if not self._checked:
            self._check(output, target)
        try:
            return self._checked_gradient(self.value(output, suited, weight), output)
        except (IndexError, RuntimeError, ValueError):
            self.targets.check(output, target)  # explains the error, if the targets are the reason
            raise

    def _checked_gradient(self, value: Any, output: Any) -> Tensor:
        """Return the value of the loss, after checking that it has a gradient if the outputs have one.

        Raises:
            TrainingError: the value was computed outside of torch.
        """
        wanted = isinstance(output, Tensor) and output.requires_grad and torch.is_grad_enabled()
        if isinstance(value, Tensor) and (value.requires_grad or not wanted):
            return value
        raise TrainingError(
            f"the loss {self.name} has no gradient: compute it with torch from the outputs, without NumPy, .item(), "
            ".detach() or argmax"
        )

    def value(self, output: Any, target: Any, weight: Tensor | None) -> Tensor:
        """Return the loss of a batch, for targets that suit it."""
        if weight is None:
            value: Any = self.mean(output, target)
            reduced: Tensor = value.mean() if isinstance(value, Tensor) and value.ndim else value
            return reduced
        values = self.each(output, target) if self.each else self.mean(output, target)
        if values.ndim == 0:
            raise TrainingError(
                f"the loss {self.name} returns one number for the batch, so samples cannot be weighted; let it return "
                "one loss per sample"
            )
        check_fit(self.name, weight, values)
        weight = weight.to(values.dtype)
        weighted = values * weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
        if self.sums:
            return weighted.sum()
        return weighted.sum() / (values.numel() if self.count is None else self.count(output, target))

    def _check(self, output: Any, target: Any) -> None:
        """Check the first batch; this synchronizes with the device once."""
        self._checked = True
        if self.takes == "logits":
            warn_of_activation(self.name, output)
        warn_of_logarithms(self.name, output)
        if self.takes == "probabilities" and isinstance(output, Tensor) and not inside_unit(output):
            raise TrainingError(
                f"loss={self.name!r} is Keras's, which takes probabilities, but the module returns values outside 0 to "
                "1; use loss='cross_entropy' (or 'bce_with_logits') for a module without a softmax (sigmoid)"
            )
        self.reading = self.reading._replace(ignored=ignored_in(output, target, self.reading.ignored))
        if self.takes == "any" and self.targets.form == "any" and self.reading.axis == 1 and isinstance(output, Tensor):
            logits = not inside_unit(output)
            self.reading = self.reading._replace(logits=logits, guessed=logits)
            warn_of_table(f"the loss {self.name}", output, target)
        self.targets.check(output, target)


#: torch's losses by their function and by their module, with the targets that they take.
_TORCH_FUNCTIONS = {named.function: named for named in TORCH.values()}
_TORCH_MODULES: dict[type[nn.Module], NamedLoss] = {
    nn.CrossEntropyLoss: TORCH["cross_entropy"],
    nn.NLLLoss: TORCH["nll_loss"],
    nn.BCELoss: TORCH["binary_cross_entropy"],
    nn.BCEWithLogitsLoss: TORCH["bce_with_logits"],
    nn.MSELoss: TORCH["mse_loss"],
    nn.L1Loss: TORCH["l1_loss"],
    nn.SmoothL1Loss: TORCH["smooth_l1_loss"],
    nn.HuberLoss: TORCH["huber_loss"],
    nn.SoftMarginLoss: TORCH["soft_margin_loss"],
    nn.MultiLabelSoftMarginLoss: TORCH["multilabel_soft_margin_loss"],
}


class KerasLoss(Loss):
    """A loss object of Keras on its torch backend, which applies weights and reduces by itself."""

    def __init__(self, user_loss: Any) -> None:
        keras_loss_function(user_loss)
        self._keras_loss = user_loss
        full = keras_name(type(user_loss).__name__)
        named = KERAS.get(full or "")
        options = getattr(user_loss, "_fn_kwargs", {})
        takes: Takes = named.takes if named else "any"
        if options.get("from_logits"):
            takes = "logits"
        name = str(getattr(user_loss, "name", type(user_loss).__name__))
        super().__init__(
            name,
            self._of_batch,
            None,
            takes=takes,
            binary=named is not None and named.binary,
            targets=Targets(name, named.form if named else "any", axis=-1, ignored=options.get("ignore_class")),
            axis=-1,
        )

    def _of_batch(self, output: Any, target: Any) -> Any:
        return self._keras_loss(target, output)

    def value(self, output: Any, target: Any, weight: Tensor | None) -> Tensor:
        """Return the loss of a batch."""
        copied = None if weight is None else weight.clone()  # Keras multiplies weights in place by its masks
        value: Tensor = self._keras_loss(target, output, sample_weight=copied)
        return value if value.ndim == 0 else value.mean()


def as_loss(user_loss: Any) -> Loss:
    """Return ``user_loss`` as a `Loss`.

    A name is one of `torch.nn.functional` (``"cross_entropy"``, on logits) or one of Keras
    (``"sparse_categorical_crossentropy"``, on probabilities). Torch's loss modules, losses of Keras and functions of
    (output, target) are used directly; a function of ``(y_true, y_pred)`` is called in that order.

    Raises:
        TrainingError: ``user_loss`` is not a loss.
    """
    if isinstance(user_loss, Loss):
        return user_loss
    if isinstance(user_loss, str):
        return _by_name(user_loss)
    if isinstance(user_loss, type):
        raise TrainingError(f"loss is the class {user_loss.__name__}; expected an instance: {user_loss.__name__}()")
    if not callable(user_loss):
        raise TrainingError(f"loss is a {type(user_loss).__name__}; expected a name, a torch loss or a function")
    refuse_array_functions(user_loss, "loss")
    if is_keras(user_loss) and not inspect.isroutine(unwrapped(user_loss)):
        return KerasLoss(user_loss)
    if takes_target_first(user_loss):
        return _target_first(user_loss)
    if isinstance(user_loss, nn.Module):
        return _module(user_loss)
    return _function(user_loss)


def _by_name(name: str) -> Loss:
    named = named_loss(name)
    if named.torch:
        return _torch_loss(name, named, named.function, partial(named.function, reduction="none"))
    targets = Targets(name, named.form, named.binary, axis=-1)
    return Loss(name, named.function, named.function, takes=named.takes, binary=named.binary, targets=targets, axis=-1)


def _torch_loss(
    name: str, named: NamedLoss, mean: Any, each: Any, *, sums: bool = False, ignored: int | None = -100
) -> Loss:
    ignored = ignored if named.form in ("numbers", "classes") else None
    targets = Targets(name, named.form, named.binary, ignored=ignored)
    count = None if ignored is None else partial(counted_losses, mean, ignored)
    return Loss(name, mean, each, takes=named.takes, sums=sums, binary=named.binary, targets=targets, count=count)


def _module(user_loss: nn.Module) -> Loss:
    name, reduction = type(user_loss).__name__.lower(), getattr(user_loss, "reduction", None)
    if not isinstance(reduction, str):
        return Loss(name, user_loss, None, whole=True)
    unreduced = copy.copy(user_loss)
    unreduced.reduction = "none"  # type: ignore[assignment]
    sums = reduction == "sum"
    named = _TORCH_MODULES.get(type(user_loss))
    if named is not None:
        ignored = getattr(user_loss, "ignore_index", -100)
        return _torch_loss(name, named, user_loss, unreduced, sums=sums, ignored=ignored)
    kind = next((named for kind, named in _TORCH_MODULES.items() if isinstance(user_loss, kind)), None)
    takes: Takes = kind.takes if kind else "any"
    by_class = kind is not None and kind.form in ("numbers", "classes")
    mean, each = (
        (partial(of_long_numbers, user_loss), partial(of_long_numbers, unreduced))
        if by_class
        else (user_loss, unreduced)
    )
    return Loss(name, mean, each, takes=takes, sums=sums, binary=kind is not None and kind.binary)


def _function(user_loss: Callable[..., Any]) -> Loss:
    name = str(getattr(unwrapped(user_loss), "__name__", type(user_loss).__name__)).lower()
    if not has_reduction(user_loss):
        return Loss(name, user_loss, None, whole=True)
    named = _TORCH_FUNCTIONS.get(unwrapped(user_loss))
    each = partial(user_loss, reduction="none")
    if named is None:
        return Loss(name, user_loss, each)
    options = user_loss.keywords if isinstance(user_loss, partial) else {}
    sums = options.get("reduction") == "sum"
    return _torch_loss(name, named, user_loss, each, sums=sums, ignored=options.get("ignore_index", -100))


def _target_first(user_loss: Any) -> Loss:
    """Return a function of (target, output) as a loss; as in Keras, (n,) and (n, 1) get the same shape."""
    function = unwrapped(user_loss)
    name = str(getattr(function, "__name__", type(function).__name__))
    options = user_loss.keywords if isinstance(user_loss, partial) else {}
    named = None
    if is_keras(user_loss):
        keras_loss_function(user_loss)
        named = KERAS.get(keras_name(name) or "")
    takes: Takes = named.takes if named else "any"
    takes = "logits" if options.get("from_logits") else takes
    targets = Targets(name, named.form, axis=-1, ignored=options.get("ignore_class")) if named else None
    each = partial(called_target_first, user_loss, ranks=not _has_classes(targets))
    return Loss(name, each, each, takes=takes, binary=named is not None and named.binary, targets=targets, axis=-1)


def _has_classes(targets: Targets | None) -> bool:
    return targets is not None and targets.form in ("numbers", "hot")
