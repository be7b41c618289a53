"""The callback that stops training when a metric no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from regraft.callbacks.callback import Logs
from regraft.callbacks.monitor_callback import Mode, MonitorCallback


class EarlyStopping(MonitorCallback):
    """Stop training when a monitored metric has stopped improving.

    Example:
        >>> stop = EarlyStopping(monitor='val_loss', patience=3, restore_best_weights=True)
        >>> history = model.fit(x, y, epochs=2, validation_split=0.2, callbacks=[stop], verbose=0)
        >>> stop.best == min(history.history['val_loss'])
        True

    Args:
        monitor: name of the metric in the logs.
        min_delta: smallest change that counts as an improvement.
        patience: epochs without improvement after which training stops.
        verbose: 1 prints when it stops and which weights it restores.
        mode: ``"min"``, ``"max"`` or ``"auto"``.
        baseline: value that has to be reached; only a better one resets ``wait``.
        restore_best_weights: restore the weights of the best epoch at the end, even if training was not stopped.
        start_from_epoch: number of epochs at the beginning that are ignored.

    Attributes:
        best: the best value so far; never NaN.
        best_epoch: its epoch, counted from 0.
        stopped_epoch: the epoch at whose end training was stopped; 0 if it was not.
        wait: epochs since the last improvement.
    """

    saved: ClassVar[tuple[str, ...]] = ("best", "best_epoch", "best_weights", "stopped_epoch", "wait")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: Mode = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.check_numbers(patience=patience, baseline=baseline, start_from_epoch=start_from_epoch)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Reset, so that one object can be used in several calls of ``fit``."""
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare this epoch with the best one, and stop if the best one is ``patience`` epochs ago."""
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep_weights(epoch)
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._keep_weights(epoch)
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.stop(self._reason())

    def _keep_weights(self, epoch: int) -> None:
        self.best_weights = _read_only(getattr(self.model, "changing_weights", self.model.get_weights)())
        self.best_epoch = epoch

    def _reason(self) -> str:
        best = "no finite value" if self.best is None else f"{self.best:.5g} at epoch {self.best_epoch + 1}"
        epochs = "epoch" if self.wait == 1 else "epochs"
        return f"{self.monitor} has not improved for {self.wait} {epochs} (best: {best})"

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the best weights, if ``restore_best_weights`` is set."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            self.say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                self.say(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            getattr(self.model, "set_changing_weights", self.model.set_weights)(self.best_weights)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        super().load_state_dict(state)
        self.best_weights = _read_only(self.best_weights)


def _read_only(weights: Any) -> Any:
    """Mark arrays as never changing, so that a snapshot need not copy them."""
    for array in weights if isinstance(weights, list) else ():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return weights
