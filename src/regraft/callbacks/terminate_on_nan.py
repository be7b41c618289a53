"""Stop when the loss is no number any more."""

from __future__ import annotations

import math

from regraft.callbacks.callback import Callback, Logs


class TerminateOnNaN(Callback):
    """Stop training when the loss is NaN or infinite.

    It looks at the loss after every batch, which on a GPU waits for the batch to be done.

    Args:
        raise_error: raise instead of stopping; ``on_train_end`` of the callbacks is then not called.

    Raises:
        RuntimeError: from ``fit``, if ``raise_error`` is set and the loss is NaN or infinite.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the running mean of the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}.")
        self.say(f"Batch {batch}: Invalid loss, terminating training")
        self.stop(f"the loss was {loss} after batch {batch}")
