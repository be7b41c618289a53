"""The callback that stops training when the loss is NaN or infinite."""

from __future__ import annotations

import math

from regraft.callbacks.callback import Callback, Logs


class TerminateOnNaN(Callback):
    """Stop training when the loss is NaN or infinite.

    It reads the loss after every batch, so that on a GPU each batch synchronizes with the device.

    Example:
        >>> history = model.fit(x, y, epochs=2, callbacks=[TerminateOnNaN()], verbose=0)
        >>> len(history.epoch)
        2

    Args:
        raise_error: raise an error instead of stopping; ``on_train_end`` of the callbacks is then not called.

    Raises:
        RuntimeError: from ``fit``, if ``raise_error`` is set and the loss is NaN or infinite.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Check the running mean of the loss."""
        loss = None if logs is None else logs.get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}.")
        self.say(f"Batch {batch}: Invalid loss, terminating training")
        self.stop(f"the loss was {loss} after batch {batch}")
