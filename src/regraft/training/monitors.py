"""The check, before the first step, that the figures that callbacks monitor will exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from regraft import callbacks as own
from regraft.callbacks.callback_list import CallbackList
from regraft.errors import TrainingError, did_you_mean, several
from regraft.training.checks import check_directions, check_validation, validates
from regraft.training.feed import Feed
from regraft.training.structure import is_array

ALWAYS = ("learning_rate", "lr")  # callbacks that change the rate add it to the logs


class Trained(Protocol):
    """The parts of a `Trainer` that the check looks at."""

    has_validation: bool | None

    @property
    def metrics_names(self) -> list[str]:
        """The figures of a batch."""

    def names_are_certain(self) -> bool:
        """Return whether no other figures than `metrics_names` can come up."""


def check_callbacks(
    trainer: Trained, hooks: CallbackList, feed: Feed, validation: Any, epochs: range, frequency: int | Sequence[int]
) -> None:
    """Check what is known before the first step, and hand the callbacks the validation data.

    Args:
        trainer: the trainer.
        hooks: its callbacks.
        feed: the batches to train on.
        validation: the validation data, or None.
        epochs: the epochs of this ``fit``.
        frequency: ``validation_freq``.

    Raises:
        TrainingError: a callback needs what there is not.
    """
    if validation is not None and epochs and not any(validates(epoch, frequency) for epoch in epochs):
        raise TrainingError(
            f"validation_freq is {frequency!r}, and fit ends with epoch {epochs.stop}: there would be no validation; "
            "lower validation_freq, or leave the validation data out"
        )
    trainer.has_validation = validation is not None
    names = trainer.metrics_names
    check_validation(hooks.callbacks, names, trainer.has_validation)
    _check_names(hooks.callbacks, names, trainer.names_are_certain(), trainer.has_validation)
    check_directions(hooks.callbacks)
    given = list(validation) if isinstance(validation, (tuple, list)) else []
    hooks.set_validation_data(given if given and all(is_array(part) for part in given) else None)
    if hooks.params is not None:
        everything = [*names, *(f"val_{name}" for name in names if trainer.has_validation)]
        sizes = {name: value for name in ("size", "batch_size") if (value := getattr(feed.source, name, None))}
        older = {"metrics": everything, "do_validation": trainer.has_validation}
        older |= {"samples" if name == "size" else name: value for name, value in sizes.items()}
        hooks.params.older.update(older)  # type: ignore[attr-defined]


def _check_names(callbacks: Sequence[Any], names: Sequence[str], certain: bool, has_validation: bool) -> None:
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
            "" if has_validation else "\n  figures with val_ need validation data: validation_data or validation_split"
        )
        raise TrainingError(several("a callback monitors a figure that there will not be", problems) + hint)


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
