"""Checks before the first step: validation data, monitored metrics, and the agreement of data and module.

A data set with ``check_module(module)`` compares itself with the module: it raises an error, or returns a warning or an
empty text. Other data sets, such as torchvision's, at most name their classes. Data sets are found inside loaders,
subsets and concatenations too. A module with ``check_outputs()`` raises an error if it cannot be trained.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any, Protocol

from torch import nn

from regraft import callbacks as own
from regraft.callbacks.callback_list import CallbackList
from regraft.errors import TrainingError, did_you_mean, several
from regraft.screen import Screen
from regraft.training.batches.epoch_iterator import EpochIterator
from regraft.training.pytree import is_array


def check_validation(callbacks: Iterable[Any], names: Sequence[str], has_validation: bool) -> None:
    """Check that there is validation data where a callback needs it.

    A callback needs it if its ``needs_validation()`` says so, or, as Keras's own have no such method, if its
    ``monitor`` begins with ``val_``. A figure that the trainer does not make itself (another callback may) is accepted.

    Args:
        callbacks: all callbacks of ``fit``.
        names: the figures that the trainer makes of a batch, such as ``["loss", "accuracy"]``.
        has_validation: whether ``fit`` has validation data.

    Raises:
        TrainingError: validation data is needed, but missing.
    """
    problems = [] if has_validation else validation_needs(callbacks, names)
    if problems:
        raise TrainingError(
            several("fit has no validation data, and a callback needs it", problems)
            + "\n  add validation_data=(x, y) or validation_split=0.2 to fit, or use a data set with .validation;  "
            "or monitor a training metric, such as monitor='loss'"
        )


def validation_needs(callbacks: Iterable[Any], names: Sequence[str]) -> list[str]:
    """Return what each callback needs validation data for, such as ``"EarlyStopping monitors 'val_loss'"``."""
    return [f"{type(c).__name__} {need}" for c in callbacks if (need := _need(c, names))]


def _need(callback: Any, names: Sequence[str]) -> str | None:
    asks = getattr(callback, "needs_validation", None)
    monitor = getattr(callback, "monitor", None)
    if callable(asks):
        need: str | None = asks()
    elif isinstance(monitor, str) and monitor.startswith("val_") and getattr(callback, "save_best_only", True):
        need = f"monitors {monitor!r}"
    else:
        return None
    if isinstance(monitor, str) and need == f"monitors {monitor!r}" and monitor.removeprefix("val_") not in names:
        return None
    return need


def check_directions(callbacks: Iterable[Any]) -> None:
    """Check that each callback that compares a figure knows which direction is better.

    Raises:
        TrainingError: ``mode="auto"``, and the better direction is unknown.
    """
    for callback in callbacks:
        check = getattr(callback, "check_direction", None)
        if callable(check):
            check()


def validates(epoch: int, frequency: int | Collection[int]) -> bool:
    """Return whether epoch ``epoch`` (from 0) ends with validation.

    Args:
        epoch: number of the epoch, counted from 0.
        frequency: validate every this many epochs, or after those listed, counted from 1.

    Raises:
        TrainingError: ``frequency`` is neither.
    """
    if isinstance(frequency, Integral) and int(frequency) > 0:
        return (epoch + 1) % int(frequency) == 0
    if isinstance(frequency, Collection) and not isinstance(frequency, (str, bytes)):
        return epoch + 1 in frequency
    raise TrainingError(f"validation_freq is {frequency!r}; expected a whole number or a list of epochs")


ALWAYS = ("learning_rate", "lr")  # callbacks that change the rate add it to the logs


class Trained(Protocol):
    """The parts of a `Trainer` that the check looks at."""

    has_validation: bool | None

    @property
    def metrics_names(self) -> list[str]:
        """The names of the figures of a batch."""

    def names_are_certain(self) -> bool:
        """Return whether no other figures than `metrics_names` can appear."""


def check_callbacks(
    trainer: Trained,
    hooks: CallbackList,
    feed: EpochIterator,
    validation: Any,
    epochs: range,
    frequency: int | Sequence[int],
) -> None:
    """Check the callbacks before the first step, and give them the validation data.

    Args:
        trainer: the trainer.
        hooks: its callbacks.
        feed: the batches to train on.
        validation: the validation data, or None.
        epochs: the epochs of this ``fit``.
        frequency: ``validation_freq``.

    Raises:
        TrainingError: a callback needs data or a metric that does not exist.
    """
    if validation is not None and epochs and not any(validates(epoch, frequency) for epoch in epochs):
        raise TrainingError(
            f"validation_freq is {frequency!r}, and fit ends with epoch {epochs.stop}: there would be no validation; "
            "lower validation_freq, or leave the validation data out"
        )
    trainer.has_validation = validation is not None
    names = trainer.metrics_names
    check_validation(hooks.callbacks, names, trainer.has_validation)
    _check_monitored(hooks.callbacks, names, trainer.names_are_certain(), trainer.has_validation)
    check_directions(hooks.callbacks)
    parts = list(validation) if isinstance(validation, (tuple, list)) else []
    hooks.set_validation_data(parts if parts and all(is_array(part) for part in parts) else None)
    if hooks.params is not None:
        everything = [*names, *(f"val_{name}" for name in names if trainer.has_validation)]
        sizes = {name: value for name in ("size", "batch_size") if (value := getattr(feed.source, name, None))}
        older = {"metrics": everything, "do_validation": trainer.has_validation}
        older |= {"samples" if name == "size" else name: value for name, value in sizes.items()}
        hooks.params.older.update(older)  # type: ignore[attr-defined]


def _check_monitored(callbacks: Sequence[Any], names: Sequence[str], certain: bool, has_validation: bool) -> None:
    if any(_may_add(callback) for callback in callbacks):
        return  # the figure may come from there; at the end of the first epoch it is known
    problems = []
    for callback in callbacks:
        monitor = _monitored(callback)
        if monitor is None or monitor in ALWAYS or monitor.removeprefix("val_") in names:
            continue
        by_validation = monitor.startswith("val_")
        if (by_validation and not has_validation) or (certain and not monitor.endswith("_loss")):
            there = [*names, *(f"val_{name}" for name in names if by_validation or has_validation)]
            problems.append(
                f"{type(callback).__name__} monitors {monitor!r}, which does not exist; there are {sorted(there)}"
                f"{did_you_mean(monitor, there)}"
            )
    if problems:
        hint = (
            "" if has_validation else "\n  metrics with val_ need validation data: validation_data or validation_split"
        )
        raise TrainingError(several("a callback monitors a metric that will not exist", problems) + hint)


def _monitored(callback: Any) -> str | None:
    monitor = getattr(callback, "monitor", None)
    uses = getattr(callback, "save_best_only", True)
    return monitor if isinstance(monitor, str) and uses else None


def _may_add(callback: Any) -> bool:
    """Return whether a callback may add figures to the logs: any but those of regraft and Keras themselves."""
    if type(callback).__name__ == "LambdaCallback":
        return True
    kind = type(callback)
    known = kind.__module__.startswith("keras.") or kind in _known()
    return not known and any(_overrides(callback, hook) for hook in ("on_epoch_end", "on_test_end"))


def _known() -> Iterable[type]:
    return [getattr(own, name) for name in own.__all__]


def _overrides(callback: Any, hook: str) -> bool:
    return not getattr(getattr(callback, hook, None), "_is_default", False)


def check_agreement(module: nn.Module, screen: Screen, *data: Any) -> None:
    """Compare every data set in ``data`` with ``module``; warnings go to ``screen``.

    Raises:
        UserError: a data set was made for another module; see its ``check_module``.
        TrainingError: a data set has the classes of the module in another order, or a different number of classes.
    """
    _check_inputs(module, data[0] if data else None)
    check = getattr(module, "check_outputs", None)
    if callable(check):
        check()
    for dataset in {id(one): one for one in _datasets(data)}.values():
        if callable(getattr(dataset, "check_module", None)):
            warning = dataset.check_module(module)
            if warning:
                screen.warn(warning)
        else:
            _check_class_names(
                _class_names(getattr(dataset, "classes", None)), _class_names(getattr(module, "classes", None))
            )


def _check_inputs(module: nn.Module, x: Any) -> None:
    """Raise `TrainingError` if x is a list of more arrays than the module has inputs, such as one for each sample."""
    if not isinstance(x, list) or len(x) < 2 or not all(is_array(part) for part in x):
        return
    parameters = inspect.signature(module.forward).parameters.values()
    own = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(x) > len(own) and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise TrainingError(
            f"x is a list of {len(x)} arrays, which are {len(x)} inputs, as in Keras, and the module takes {len(own)}; "
            "one array of all samples is np.stack(x)"
        )


def _check_class_names(data: list[str], module: list[str]) -> None:
    """Compare class names. Different names in equal number may be correct, so they are accepted."""
    if data and module and (len(data) != len(module) or (sorted(data) == sorted(module) and data != module)):
        raise TrainingError(
            f"the classes of the data set are {', '.join(data[:10])}, those of the module {', '.join(module[:10])}: "
            "expected the same, in the same order"
        )


def _class_names(classes: Any) -> list[str]:
    names = list(classes) if isinstance(classes, (list, tuple)) else []
    return names if all(isinstance(name, str) for name in names) else []


def _datasets(data: Any, depth: int = 8) -> Iterator[Any]:
    """Yield the data sets in ``data`` that can be checked: those with class names or ``check_module``."""
    if isinstance(data, tuple):
        for one in data:
            yield from _datasets(one, depth - 1)
    elif callable(getattr(data, "check_module", None)) or _class_names(getattr(data, "classes", None)):
        yield data
    elif depth > 0:
        inner = [getattr(data, "dataset", None), *(getattr(data, "datasets", None) or ())]
        for one in inner:
            if one is not None and one is not data:
                yield from _datasets(one, depth - 1)
