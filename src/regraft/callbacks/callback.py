"""The base class of callbacks: the hooks of Keras 3, the trainer that it is attached to, and a state to save."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from regraft.errors import TrainingError, did_you_mean
from regraft.screen import Screen, screen_for

if TYPE_CHECKING:
    from collections.abc import Callable

Logs = Mapping[str, Any]
Hook = TypeVar("Hook", bound="Callable[..., None]")


def default(hook: Hook) -> Hook:
    """Mark ``hook`` as one that does nothing, so that the loop skips it. Keras marks its own with this attribute."""
    hook._is_default = True  # type: ignore[attr-defined]
    return hook


class Callback:
    """The base class of all callbacks: override the hooks that you need.

    The hooks, their arguments and their order are those of ``keras.callbacks.Callback``. ``logs`` contains values by
    name. In the hooks of a batch these are the running means of the epoch, computed only if a callback reads them.

    Example:
        >>> class PrintLoss(Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(f"epoch {epoch + 1}: {sorted(logs)}")
        >>> history = model.fit(x, y, epochs=2, callbacks=[PrintLoss()], verbose=0)
        epoch 1: ['accuracy', 'loss']
        epoch 2: ['accuracy', 'loss']

    Attributes:
        params: ``{"verbose": ..., "epochs": ..., "steps": ...}`` of the current ``fit``, ``evaluate`` or ``predict``.
        model: the `Trainer` that the callback is attached to.
        validation_data: ``[x, y]`` or ``[x, y, weight]`` of ``fit`` if they are arrays or tensors, otherwise None.
            Callbacks of older Keras read it.
    """

    #: Names of the attributes that `state_dict` saves.
    saved: ClassVar[tuple[str, ...]] = ()
    #: Whether the callback only displays, so that it has no state to save.
    display: ClassVar[bool] = False
    #: Whether the hooks run after those of all other callbacks, whatever the order of the list.
    runs_last: ClassVar[bool] = False
    #: Whether the hooks run in every process of a training on several processes, not only in process 0.
    every_rank: ClassVar[bool] = False

    def __init__(self) -> None:
        self.params: dict[str, Any] | None = None
        self._model: Any = None
        self.validation_data: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Store the parameters of the loop that starts."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Store the trainer that the callback is attached to."""
        self._model = model

    @property
    def model(self) -> Any:
        """The `Trainer` that the callback is attached to."""
        return self._model

    def state_dict(self) -> dict[str, Any]:
        """Return the state that training needs to resume: numbers, texts, lists, dicts and tensors.

        If a class neither fills `saved` nor overrides this method, all its attributes of these types are saved.
        """
        return {name: copy.copy(getattr(self, name)) for name in self.saved}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned.

        Raises:
            TrainingError: ``state`` contains a name that this callback does not have.
        """
        for name in state:
            if name not in self.saved:
                raise TrainingError(f"{type(self).__name__} has no state named {name!r}; it has {list(self.saved)}")
        for name, value in state.items():
            setattr(self, name, copy.copy(value))

    def needs_validation(self) -> str | None:
        """Return why the callback needs validation data, such as ``"monitors 'val_loss'"``; None if it does not."""
        return None

    def close(self) -> None:
        """Release files and threads. Called once at the end of a loop, also after an exception."""

    def stop(self, reason: str) -> None:
        """Stop training; `History` records the reason."""
        stop = getattr(self._model, "stop", None)
        if callable(stop):
            stop(f"{type(self).__name__}: {reason}")
        else:
            self._model.stop_training = True

    @property
    def screen(self) -> Screen:
        """The screen of the trainer."""
        screen: Screen | None = getattr(self._model, "screen", None)
        return screen or screen_for()

    def say(self, text: str) -> None:
        """Print ``text`` on the trainer's screen."""
        self.screen.line("", text)

    def warn(self, text: str) -> None:
        """Print a warning on the trainer's screen; training continues."""
        self.screen.warn(f"{type(self).__name__}: {text}")

    @default
    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run at the beginning of a training batch; the older name of `on_train_batch_begin`."""

    @default
    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run at the end of a training batch; the older name of `on_train_batch_end`."""

    @default
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Run at the beginning of epoch ``epoch``, counted from 0."""

    @default
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Run at the end of an epoch, after its validation; the callback may add to ``logs``."""

    @default
    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before training batch ``batch`` of the epoch, counted from 0."""
        self.on_batch_begin(batch, logs=logs)

    @default
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after training batch ``batch``; ``logs`` contains the running means of the epoch."""
        self.on_batch_end(batch, logs=logs)

    @default
    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a batch of ``evaluate``, or of the validation in ``fit``."""

    @default
    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a batch of ``evaluate``, or of the validation in ``fit``."""

    @default
    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a batch of ``predict``."""

    @default
    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a batch of ``predict``; ``logs["outputs"]`` contains what the module returned."""

    @default
    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Run at the beginning of ``fit``."""

    @default
    def on_train_end(self, logs: Logs | None = None) -> None:
        """Run at the end of ``fit``; ``logs`` are those of the last epoch."""

    @default
    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Run at the beginning of ``evaluate``, or of the validation in ``fit``."""

    @default
    def on_test_end(self, logs: Logs | None = None) -> None:
        """Run at the end of ``evaluate``, or of the validation in ``fit``."""

    @default
    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Run at the beginning of ``predict``."""

    @default
    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Run at the end of ``predict``."""


def reject_unknown(callback: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Raise `TrainingError` if ``given`` contains a keyword argument that ``callback`` does not take."""
    for name in given:
        if name not in known:
            raise TrainingError(f"{callback} takes no argument {name!r}{did_you_mean(name, known)}")


_warned: set[tuple[str, str]] = set()


def accept_older(callback: str, given: Mapping[str, Any], meanings: Mapping[str, str]) -> None:
    """Warn about each argument of older Keras in ``given``, once per process.

    Args:
        callback: name of the class.
        given: the keyword arguments.
        meanings: the accepted arguments, and what each does.

    Raises:
        TrainingError: an argument is not among ``meanings``.
    """
    reject_unknown(callback, given, tuple(meanings))
    for name in given:
        if (callback, name) not in _warned:
            _warned.add((callback, name))
            warnings.warn(
                f"{callback}: the argument {name!r} of older Keras {meanings[name]}", UserWarning, stacklevel=3
            )


def is_positive_int(value: object) -> bool:
    """Return whether ``value`` is a whole number of 1 or more; a bool is not."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
