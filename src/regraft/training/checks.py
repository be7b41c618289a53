"""What can be known to go wrong before the first step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from numbers import Integral
from typing import Any

from regraft.errors import TrainingError, several


def check_validation(callbacks: Iterable[Any], names: Sequence[str], has_validation: bool) -> None:
    """Check that there is validation data where a callback needs it.

    A callback needs it if its ``needs_validation()`` says so, or, as Keras's own have no such method, if its
    ``monitor`` begins with ``val_``. A figure that the trainer does not make itself (another callback may) is let pass.

    Args:
        callbacks: all callbacks of ``fit``.
        names: the figures that the trainer makes of a batch, such as ``["loss", "accuracy"]``.
        has_validation: whether ``fit`` has validation data.

    Raises:
        TrainingError: it is needed and missing.
    """
    problems = [] if has_validation else validation_needs(callbacks, names)
    if problems:
        raise TrainingError(
            several("fit has no validation data, and a callback needs it", problems)
            + "\n  add validation_data=(x, y) or validation_split=0.2 to fit, or let the data set bring a .validation; "
            "or monitor a figure of training, such as monitor='loss'"
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
        TrainingError: ``mode="auto"``, and nothing says which it is.
    """
    for callback in callbacks:
        check = getattr(callback, "check_direction", None)
        if callable(check):
            check()


def validates(epoch: int, frequency: int | Collection[int]) -> bool:
    """Return whether epoch ``epoch`` (from 0) ends with validation.

    Args:
        epoch: number of the epoch, counted from 0.
        frequency: validate every so many epochs, or after those listed, counted from 1.

    Raises:
        TrainingError: ``frequency`` is neither.
    """
    if isinstance(frequency, Integral) and int(frequency) > 0:
        return (epoch + 1) % int(frequency) == 0
    if isinstance(frequency, Collection) and not isinstance(frequency, (str, bytes)):
        return epoch + 1 in frequency
    raise TrainingError(f"validation_freq is {frequency!r}; expected a whole number or a list of epochs")
