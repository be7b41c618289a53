"""The callback that evaluates with the moving average of the weights."""

from __future__ import annotations

from typing import Any

from regraft.callbacks.callback import Callback, Logs
from regraft.errors import TrainingError


class SwapEMAWeights(Callback):
    """Swap the weights and their moving average during every evaluation and every prediction.

    The trainer needs a moving average: ``Trainer(..., ema=0.999)``. A callback that keeps the best weights by a metric
    of validation (``restore_best_weights``, ``save_best_only``) keeps the average, which was evaluated, whatever its
    place in the list.

    Example:
        >>> model = new_model(ema=0.9)
        >>> history = model.fit(x, y, epochs=2, validation_split=0.2, callbacks=[SwapEMAWeights()], verbose=0)
        >>> sorted(history.history)  # val_loss and val_accuracy are those of the average
        ['accuracy', 'loss', 'val_accuracy', 'val_loss']

    Args:
        swap_on_epoch: also keep the average in the module from the end of an epoch to the beginning of the next, so
            that later callbacks in the list, such as `ModelCheckpoint`, use it.

    Raises:
        TrainingError: from ``fit``, if the trainer has no moving average.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._average_was_shown: bool | None = None  # before the current evaluation; None outside of one

    def set_model(self, model: Any) -> None:
        """Check that there is a moving average."""
        super().set_model(model)
        if getattr(model, "ema", None) is None:
            raise TrainingError(
                "SwapEMAWeights needs a moving average: make the Trainer with ema=0.999 (in Keras, SwapEMAWeights must "
                "be used when `use_ema=True` is set on the optimizer)"
            )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Restore the weights to train on."""
        self.model.ema.show(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the average into the module, if ``swap_on_epoch`` is set."""
        if self.swap_on_epoch:
            self.model.ema.show(True)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Put the average into the module."""
        self._swap_in()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Restore the weights or the average of before the evaluation."""
        self.model.ema.measured = True
        self._swap_back()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Put the average into the module."""
        self._swap_in()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Restore the weights or the average of before the evaluation."""
        self._swap_back()

    def close(self) -> None:
        """Restore the weights or the average after an evaluation that ended by an exception."""
        self._swap_back()

    def _swap_in(self) -> None:
        self._average_was_shown = self.model.ema.shown
        self.model.ema.show(True)

    def _swap_back(self) -> None:
        before, self._average_was_shown = self._average_was_shown, None
        if before is not None:
            self.model.ema.show(before)
