"""The epoch that is kept: the latest of those that are as good as the best on the validation photos."""

from __future__ import annotations

from typing import Any, ClassVar

from regraft.callbacks import EarlyStopping

SPREAD = 0.35
"""Standard deviation, as a share of the loss, of what the losses of a photo in two neighbouring epochs differ by."""


class LatestBest(EarlyStopping):
    """Keeps the weights of the latest epoch whose val_loss is within about one standard error of the lowest.

    The learning rate comes down towards the end, so that of epochs which cannot be told apart the last is the safest
    choice. When training stops is not touched by it: that looks at the lowest loss alone.

    Args:
        photos: number of validation photos; the more there are, the smaller a difference counts.
        patience: epochs without a lower val_loss after which training stops.

    Attributes:
        kept_epoch: the epoch whose weights are kept, counted from 0; ``best_epoch`` has the lowest val_loss.
    """

    saved: ClassVar[tuple[str, ...]] = (*EarlyStopping.saved, "kept_epoch")

    def __init__(self, photos: int, patience: int) -> None:
        super().__init__(monitor="val_loss", patience=patience, restore_best_weights=True)
        self._as_good = 1 + SPREAD / photos**0.5
        self.kept_epoch = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin anew."""
        super().on_train_begin(logs)
        self.kept_epoch = 0

    def stop(self, reason: str) -> None:
        """Stop training, under the name that a person knows."""
        self.model.stop(f"EarlyStopping: {reason}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compare the epoch with the best one, and keep its weights if it is as good."""
        super().on_epoch_end(epoch, logs)
        current, lowest = self.get_monitor_value(logs), self.best_epoch
        if lowest == epoch:
            self.kept_epoch = epoch
        elif current is not None and self.best is not None and current <= self._as_good * self.best:
            self._keep_weights(epoch)
            self.kept_epoch, self.best_epoch = epoch, lowest
