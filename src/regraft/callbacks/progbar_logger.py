"""The callback that shows the progress of a loop."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any, ClassVar

from regraft.callbacks.callback import Callback, Logs, accept_older
from regraft.screen import Bar, PlainScreen, QuietScreen, clock

OLDER = {
    "count_mode": "has no effect: the bar counts batches",
    "stateful_metrics": "has no effect: all values are means of the epoch so far",
}
EVERY = 0.1  # seconds between two updates of the bar; each synchronizes with the device


class ProgbarLogger(Callback):
    """Show a progress bar for each epoch and a line with its loss and metrics.

    ``verbose`` of ``fit``, ``evaluate`` and ``predict`` sets the output: 0 nothing, 1 or ``"auto"`` a bar and a line, 2
    only the line. Every ``fit`` has one. The values of a running epoch are read at most ten times a second.

    Example:
        >>> loss, accuracy = model.evaluate(x, y, callbacks=[ProgbarLogger()])  # doctest: +ELLIPSIS
        evaluate ...loss ... accuracy ...

    Args:
        **kwargs: arguments of older Keras: ``count_mode`` and ``stateful_metrics``, which have no effect. Each causes
            one warning.
    """

    display: ClassVar[bool] = True

    def __init__(self, **kwargs: Any) -> None:
        accept_older("ProgbarLogger", kwargs, OLDER)
        super().__init__()
        self.verbose: int = 1
        self.epochs: int = 1
        self.target: int | None = None
        self._stack = ExitStack()
        self._bar: Bar | None = None
        self._seen = self._predicted = 0
        self._shown = 0.0
        self._begun = 0.0
        self._in_fit = False
        self._label = ""

    def set_params(self, params: dict[str, Any]) -> None:
        """Store the number of steps and epochs, and the amount of output."""
        super().set_params(params)
        verbose = params.get("verbose", 1)
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self.epochs = params.get("epochs") or 1
        self.target = params.get("steps")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Record that ``fit`` is running: its validation is silent."""
        self._in_fit = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Open the bar of an epoch."""
        self._open(f"{epoch + 1}/{self.epochs}")

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Open the bar of ``evaluate``."""
        if not self._in_fit:
            self._open("evaluate")

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Open the bar of ``predict``."""
        self._predicted = 0
        self._open("predict")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Update the bar."""
        self._move(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Update the bar of ``evaluate``."""
        if not self._in_fit:
            self._move(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Update the bar of ``predict``."""
        self._predicted = batch + 1
        self._move(batch, None)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Close the bar and print the values of the epoch."""
        self._finish(logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Close the bar of ``evaluate`` and print its values."""
        if not self._in_fit:
            self._finish(logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Close the bar of ``predict`` and print the number of batches."""
        self.close()
        if self.verbose:
            batches = "1 batch" if self._predicted == 1 else f"{self._predicted} batches"
            self.screen.line(self._label, batches, clock(time.monotonic() - self._begun))

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Record that ``fit`` has ended."""
        self._in_fit = False

    def close(self) -> None:
        """Close the bar, if one is open."""
        self._bar = None
        self._stack.close()

    def _open(self, label: str) -> None:
        self.close()
        self._label, self._seen, self._begun = label, 0, time.monotonic()
        self._shown = self._begun
        if self.verbose == 1 and self.target and not isinstance(self.screen, (PlainScreen, QuietScreen)):
            self._bar = self._stack.enter_context(self.screen.progress(label, self.target, "steps"))

    def _move(self, batch: int, logs: Logs | None) -> None:
        if self._bar is None:
            return
        now = time.monotonic()
        if now - self._shown < EVERY and batch + 1 != self.target:
            return
        self._shown = now
        self._bar.advance(batch + 1 - self._seen)
        self._seen = batch + 1
        if logs:
            self._bar.note(format_logs(dict([next(iter(logs.items()))])))  # more would not fit next to the bar

    def _finish(self, logs: Logs | None) -> None:
        self.close()
        if self.verbose:
            self.screen.line(self._label, format_logs(logs or {}), clock(time.monotonic() - self._begun))


def format_logs(logs: Logs) -> str:
    """Return ``logs`` as readable text: ``"loss 0.3120 · accuracy 0.9062"``."""
    return " · ".join(f"{name} {_format(value)}" for name, value in logs.items())


def _format(value: Any) -> str:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.4f}" if abs(number) > 1e-3 or number == 0 else f"{number:.4e}"
