"""The callback of fine-tuning that restores the latest epoch as good as the best on the validation photos."""

from __future__ import annotations

from typing import Any, ClassVar

from regraft.callbacks import EarlyStopping

SPREAD = 0.35
"""Standard deviation of the difference between a photo's losses in two successive epochs, as a share of the loss."""


class LatestBest(EarlyStopping):
    """Restores the weights of the latest epoch whose val_loss is within about one standard error of the lowest.

    The learning rate falls towards the end. So among epochs of equal quality, the last is the safest choice. The
    decision to stop depends on the lowest loss only.

    Args:
        photos: number of validation photos; with more photos, smaller differences count.
        patience: epochs without a lower val_loss after which training stops.

    Attributes:
        kept_epoch: epoch of the stored weights, counted from 0; ``best_epoch`` has the lowest val_loss.
    """

    saved: ClassVar[tuple[str, ...]] = (*EarlyStopping.saved, "kept_epoch")

    def __init__(self, photos: int, patience: int) -> None:
        super().__init__(monitor="val_loss", patience=patience, restore_best_weights=True)
        self._as_good = 1 + SPREAD / photos**0.5
        self.kept_epoch = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Reset, as `EarlyStopping` does."""
        super().on_train_begin(logs)
        self.kept_epoch = 0

    def stop(self, reason: str) -> None:
        """Stop training, and report the stop as EarlyStopping, the name that users know."""
        self.model.stop(f"EarlyStopping: {reason}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compare the epoch with the best one, and store its weights if it is as good."""
        super().on_epoch_end(epoch, logs)
        current, lowest = self.get_monitor_value(logs), self.best_epoch
        if lowest == epoch:
            self.kept_epoch = epoch
        elif current is not None and self.best is not None and current <= self._as_good * self.best:
            self._keep_weights(epoch)
            self.kept_epoch, self.best_epoch = epoch, lowest
