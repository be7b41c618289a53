"""The callback that calls functions of the user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from regraft.callbacks.callback import Callback, reject_unknown

Function = Callable[..., Any]
HOOKS = (
    "on_batch_begin", "on_batch_end", "on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end",
    "on_predict_begin", "on_predict_end", "on_predict_batch_begin", "on_predict_batch_end",
)  # fmt: skip


class LambdaCallback(Callback):
    """Call functions at the events of training.

    Example:
        >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(f"epoch {epoch + 1} is done"))
        >>> history = model.fit(x, y, epochs=2, callbacks=[show], verbose=0)
        epoch 1 is done
        epoch 2 is done

    Args:
        on_epoch_begin: called as ``f(epoch, logs)``.
        on_epoch_end: called as ``f(epoch, logs)``.
        on_train_begin: called as ``f(logs)``.
        on_train_end: called as ``f(logs)``.
        on_train_batch_begin: called as ``f(batch, logs=logs)``.
        on_train_batch_end: called as ``f(batch, logs=logs)``.
        **kwargs: functions for other hooks, by the name of the hook.

    Raises:
        TrainingError: a name in ``kwargs`` is not that of a hook.
    """

    def __init__(
        self,
        on_epoch_begin: Function | None = None,
        on_epoch_end: Function | None = None,
        on_train_begin: Function | None = None,
        on_train_end: Function | None = None,
        on_train_batch_begin: Function | None = None,
        on_train_batch_end: Function | None = None,
        **kwargs: Function,
    ) -> None:
        super().__init__()
        reject_unknown("LambdaCallback", kwargs, HOOKS)
        functions = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for hook, function in functions.items():
            if function is not None:
                setattr(self, hook, function)
