"""Evaluate with the moving average of the weights."""

from __future__ import annotations

from typing import Any

from regraft.callbacks.callback import Callback, Logs
from regraft.errors import TrainingError


class SwapEMAWeights(Callback):
    """Exchange the weights and their moving average around every evaluation, and every prediction.

    The trainer has to keep one: ``Trainer(..., ema=0.999)``. A callback that keeps the best weights by a figure of
    validation (``restore_best_weights``, ``save_best_only``) keeps those that were measured, the average, whatever its
    place in the list.

    Args:
        swap_on_epoch: also hold the average in the module from the end of an epoch to the beginning of the next, so
            that callbacks behind this one, such as `ModelCheckpoint`, see it.

    Raises:
        TrainingError: from ``fit``, if the trainer keeps no moving average.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._before: bool | None = None  # what the module held before an evaluation or prediction that is running

    def set_model(self, model: Any) -> None:
        """Check that there is a moving average."""
        super().set_model(model)
        if getattr(model, "ema", None) is None:
            raise TrainingError(
                "SwapEMAWeights needs a moving average: make the Trainer with ema=0.999 (in Keras, SwapEMAWeights must "
                "be used when `use_ema=True` is set on the optimizer)"
            )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the weights back to train on."""
        self.model.ema.show(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the average in, if it is to be there between epochs."""
        if self.swap_on_epoch:
            self.model.ema.show(True)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Put the average in."""
        self._swap_in()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Put back what the module held before."""
        self.model.ema.measured = True
        self._swap_back()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Put the average in."""
        self._swap_in()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Put back what the module held before."""
        self._swap_back()

    def close(self) -> None:
        """Put back what the module held before an evaluation that ended by an exception."""
        self._swap_back()

    def _swap_in(self) -> None:
        self._before = self.model.ema.shown
        self.model.ema.show(True)

    def _swap_back(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            self.model.ema.show(before)
