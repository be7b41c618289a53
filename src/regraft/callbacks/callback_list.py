"""A list of callbacks that is called like one callback."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from regraft.callbacks.as_callback import as_callback, check_unique, flat_callbacks
from regraft.callbacks.callback import Callback, Logs
from regraft.callbacks.history import History
from regraft.callbacks.params import Params
from regraft.callbacks.progbar_logger import ProgbarLogger
from regraft.callbacks.states import AUTOMATIC, load_state, settings_of, state_of
from regraft.errors import TrainingError

HOOKS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end",
    "on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end", "on_predict_begin", "on_predict_end",
    "on_predict_batch_begin", "on_predict_batch_end", "on_batch_begin", "on_batch_end",
)  # fmt: skip
OLDER = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


class ValidationArrays(list[Any]):
    """Arrays that ``fit`` gave to a callback and may replace in the next call."""


class CallbackList(Callback):
    """Calls each hook of each callback in order; a hook that no callback overrides costs nothing.

    Example:
        >>> both = CallbackList([History(), LambdaCallback(on_train_begin=lambda logs: print('begin'))], model=model)
        >>> both.on_train_begin()
        begin

    Args:
        callbacks: `Callback` objects, Keras's own, torch schedulers, or lists of them.
        add_history: add a `History` if there is none.
        add_progbar: add a `ProgbarLogger` where there is none.
        model: the trainer that they are attached to.
        **params: what `Callback.params` contains.

    Raises:
        TrainingError: something in ``callbacks`` is not a callback, or it contains the same object twice.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks: list[Any] = [as_callback(c) for c in flat_callbacks(callbacks)]
        check_unique(self.callbacks)
        self._settings = {id(callback): settings_of(callback) for callback in self.callbacks}
        self.running: tuple[Any, str] | None = None
        self._restored: set[int] = set()
        self._hooks: dict[str, list[tuple[Any, Callable[..., None]]]] = {}
        self._add_defaults(add_history, add_progbar)
        self.set_model(model)
        self.set_params(params)
        self.refresh()

    def _add_defaults(self, add_history: bool, add_progbar: bool) -> None:
        self.history = next((c for c in self.callbacks if isinstance(c, History)), None)
        if self.history is None and add_history:
            self.history = History()
            self.callbacks.append(self.history)
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.append(ProgbarLogger())

    def append(self, callback: Any) -> None:
        """Add one more callback at the end."""
        callback = as_callback(callback)
        self.callbacks.append(callback)
        if self._model is not None:
            callback.set_model(self._model)
        if self.params:
            callback.set_params(self.params)
        self.refresh()

    def set_params(self, params: dict[str, Any]) -> None:
        """Give ``params`` to every callback."""
        self.params = params = params if isinstance(params, Params) else Params(params)
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Attach every callback to ``model``."""
        if model is None:
            return
        self._model = model
        if self.history is not None:
            model.history = self.history
        for callback in self.callbacks:
            callback.set_model(model)
            _tell_direction(callback, model)

    def set_validation_data(self, data: Sequence[Any] | None) -> None:
        """Give validation arrays to every callback without its own, as older Keras did."""
        handed = None if data is None else ValidationArrays(data)
        for callback in self.callbacks:
            own = getattr(callback, "validation_data", None)
            if own is None or isinstance(own, ValidationArrays):
                with contextlib.suppress(AttributeError):  # a property without a setter
                    callback.validation_data = handed

    def refresh(self) -> None:
        """Update the lists of callbacks that override each hook."""
        ordered = sorted(self.callbacks, key=lambda callback: bool(getattr(callback, "runs_last", False)))
        self._hooks = {name: _overriding(ordered, name) for name in HOOKS}
        average = getattr(self._model, "ema", None)
        if average is not None:
            hooks = self._hooks["on_epoch_end"]
            self._hooks["on_epoch_end"] = [(c, partial(_on_measured_weights, average, c, hook)) for c, hook in hooks]

    def wants(self, hook: str) -> bool:
        """Return whether any callback overrides ``hook``."""
        return bool(self._hooks[hook])

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the callbacks that have one, by class name and a number within the class."""
        own = self._with_keys().items()
        states = {key: state_of(callback, self._settings.get(id(callback))) for key, callback in own}
        return {key: state for key, state in states.items() if state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of every callback.

        Raises:
            TrainingError: the state belongs to other callbacks.
        """
        own = self._with_keys()
        unknown = [key for key in state if key not in own and AUTOMATIC not in state[key]]
        if unknown:
            raise TrainingError(f"the saved state belongs to other callbacks: it has {unknown}; fit has {list(own)}")
        known = {key: value for key, value in state.items() if key in own}
        self._restored = {id(own[key]) for key, value in known.items() if load_state(own[key], value)}

    def on_epoch_resumed(self, epoch: int) -> None:
        """Call ``on_epoch_begin`` only of callbacks whose state could not be restored completely."""
        for callback, method in self._hooks["on_epoch_begin"]:
            if id(callback) not in self._restored:
                method(epoch, {})

    def _with_keys(self) -> dict[str, Any]:
        names = [type(callback).__name__ for callback in self.callbacks]
        return {f"{n}-{names[:i].count(n)}": c for i, (n, c) in enumerate(zip(names, self.callbacks, strict=True))}

    def close(self) -> None:
        """Close every callback once, even if another one raises."""
        with contextlib.ExitStack() as stack:
            for callback in reversed(self.callbacks):
                close = getattr(callback, "close", None)
                if callable(close):
                    stack.callback(close)

    def _call(self, hook: str, position: int | None, *args: Any, **kwargs: Any) -> None:
        try:
            for callback, method in self._hooks[hook]:
                self.running = (callback, hook)
                method(*args, **kwargs)
        except Exception as error:
            name = type(self.running[0]).__name__ if self.running else "a callback"
            where = f" ({'batch' if 'batch' in hook else 'epoch'} {position})" if position is not None else ""
            error.add_note(f"raised by the callback {name} in {hook}{where}")
            raise
        finally:
            self.running = None

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._call("on_batch_begin", batch, batch, logs=_or_empty(logs))

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._call("on_batch_end", batch, batch, logs=_or_empty(logs))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._call("on_epoch_begin", epoch, epoch, _or_empty(logs))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        if self._model is not None:  # a later TensorBoard continues this count
            self._model.epochs_trained = max(getattr(self._model, "epochs_trained", 0) + 1, epoch + 1)
        self._call("on_epoch_end", epoch, epoch, _or_empty(logs))

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        if self._hooks["on_train_batch_begin"]:
            self._call("on_train_batch_begin", batch, batch, logs=_or_empty(logs))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        if self._hooks["on_train_batch_end"]:
            self._call("on_train_batch_end", batch, batch, logs=_or_empty(logs))

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._call("on_test_batch_begin", batch, batch, logs=_or_empty(logs))

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._call("on_test_batch_end", batch, batch, logs=_or_empty(logs))

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._call("on_predict_batch_begin", batch, batch, logs=_or_empty(logs))

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._call("on_predict_batch_end", batch, batch, logs=_or_empty(logs))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._begin("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._call("on_train_end", None, _or_empty(logs))

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._begin("on_test_begin", logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._call("on_test_end", None, _or_empty(logs))

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._begin("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._call("on_predict_end", None, _or_empty(logs))

    def _begin(self, hook: str, logs: Logs | None) -> None:
        self._call(hook, None, _or_empty(logs))
        self.refresh()  # a callback may have put functions in place of its hooks


def _tell_direction(callback: Any, model: Any) -> None:
    """Tell a Keras callback with ``mode="auto"`` whether a lower or higher value of its metric is better."""
    if isinstance(callback, Callback) or getattr(callback, "mode", None) != "auto":
        return
    directions = getattr(model, "metric_directions", None)
    name = str(getattr(callback, "monitor", "")).removeprefix("val_")
    direction = directions().get(name) if callable(directions) else None
    if direction is not None and getattr(callback, "monitor_op", None) is None:
        callback.mode = direction


def _on_measured_weights(average: Any, callback: Any, hook: Callable[..., None], *args: Any) -> None:
    """Call a hook. A callback that keeps the best weights finds the weights that the validation measured in the module.

    `SwapEMAWeights` lets a validation measure the moving average, while the module has the weights before and after.
    """
    keeps = getattr(callback, "restore_best_weights", False) or getattr(callback, "save_best_only", False)
    if keeps and average.measured and str(getattr(callback, "monitor", "")).startswith("val_"):
        with average.showing(True):
            hook(*args)
    else:
        hook(*args)


def _or_empty(logs: Logs | None) -> Logs:
    return {} if logs is None else logs


def _overriding(callbacks: Sequence[Any], hook: str) -> list[tuple[Any, Callable[..., None]]]:
    overriding = []
    for callback in callbacks:
        method = getattr(callback, hook, None)
        if getattr(method, "_is_default", False) and hook in OLDER:
            method = getattr(callback, OLDER[hook], None)  # what the default calls
        if method is not None and not getattr(method, "_is_default", False):
            overriding.append((callback, method))
    return overriding
