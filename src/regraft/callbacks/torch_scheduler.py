"""The callback that steps a learning-rate scheduler of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch.optim import lr_scheduler

from regraft.callbacks.callback import Callback, Logs
from regraft.callbacks.monitor_callback import MonitorCallback
from regraft.errors import TrainingError

PER_BATCH = (lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR)


class TorchScheduler(Callback):
    """Step a torch ``lr_scheduler``. A scheduler that is passed to ``fit`` directly is wrapped in this class.

    Example:
        >>> scheduler = torch.optim.lr_scheduler.StepLR(model.optimizer.torch, step_size=1, gamma=0.1)
        >>> history = model.fit(x, y, epochs=2, callbacks=[TorchScheduler(scheduler)], verbose=0)
        >>> [f'{rate:.4f}' for rate in history.history['learning_rate']]
        ['0.0010', '0.0001']

    Args:
        scheduler: the scheduler; its optimizer must be the trainer's.
        per: step it at the end of every ``"epoch"`` or after every ``"batch"`` that updated the weights; ``"auto"``:
            per batch for ``OneCycleLR`` and ``CyclicLR``, which are made for it, per epoch for all others.
        monitor: name of the metric that ``lr_scheduler.ReduceLROnPlateau`` gets.

    Raises:
        TrainingError: from ``fit``, if the scheduler belongs to another optimizer.
    """

    def __init__(
        self, scheduler: Any, per: Literal["auto", "epoch", "batch"] = "auto", monitor: str = "val_loss"
    ) -> None:
        super().__init__()
        if per not in ("auto", "epoch", "batch"):
            raise TrainingError(f"TorchScheduler: per is {per!r}; expected 'auto', 'epoch' or 'batch'")
        self.scheduler = scheduler
        self.per = ("batch" if isinstance(scheduler, PER_BATCH) else "epoch") if per == "auto" else per
        watches = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
        self._monitor = MonitorCallback(monitor, "min") if watches else None
        self.monitor = monitor if watches else None
        self._iterations = 0

    def needs_validation(self) -> str | None:
        """Return the metric that a plateau scheduler monitors, if it is one of validation."""
        return self._monitor.needs_validation() if self._monitor else None

    def set_model(self, model: Any) -> None:
        """Store the trainer."""
        super().set_model(model)
        if self._monitor is not None:
            self._monitor.set_model(model)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Check that the scheduler belongs to the trainer's optimizer."""
        optimizer = getattr(self.model.optimizer, "torch", self.model.optimizer)
        if self.scheduler.optimizer is not optimizer:
            raise TrainingError(
                f"{type(self.scheduler).__name__} was made for another optimizer: build it on the optimizer of the "
                "Trainer, trainer.optimizer.torch"
            )
        self._iterations = self.model.optimizer.iterations

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Step after an update of the weights, if ``per`` is ``"batch"``."""
        done = self.model.optimizer.iterations
        if self.per == "batch" and done > self._iterations:
            self.scheduler.step()
        self._iterations = done

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add the epoch's ``learning_rate`` to the logs, then step, if ``per`` is ``"epoch"``."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        if self.per != "epoch":
            return
        if self._monitor is None:
            self.scheduler.step()
            return
        value = self._monitor.get_monitor_value(logs)
        if value is not None:
            self.scheduler.step(value)

    def state_dict(self) -> dict[str, Any]:
        """Return the scheduler's own state."""
        return {"scheduler": dict(self.scheduler.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the scheduler's own state."""
        self.scheduler.load_state_dict(dict(state["scheduler"]))
        self.scheduler.optimizer._opt_called = True  # by the earlier process; torch would warn about the order
