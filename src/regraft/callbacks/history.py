"""The record of the metrics of each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, ClassVar

from regraft.callbacks.callback import Callback, Logs


class Figures(dict[str, list[Any]]):
    """Lists of figures by name; ``lr``, the older name, returns ``learning_rate``."""

    def __missing__(self, name: str) -> list[Any]:
        if name == "lr" and "learning_rate" in self:
            return self["learning_rate"]
        raise KeyError(name)


class History(Callback):
    """Record the logs of each epoch. Every ``fit`` has one and returns it.

    Example:
        >>> history = model.fit(x, y, epochs=2, verbose=0)
        >>> sorted(history.history)
        ['accuracy', 'loss']
        >>> history.epoch
        [0, 1]

    Attributes:
        history: figures by name, one per epoch: ``loss``, ``accuracy``, ``val_loss``, ``learning_rate`` ...
        epoch: the numbers of the epochs, counted from 0.
        stop_reason: why ``fit`` stopped before its last epoch, in words; None if it did not.
    """

    saved: ClassVar[tuple[str, ...]] = ("history", "epoch", "stop_reason")

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = Figures()
        self.epoch: list[int] = []
        self.stop_reason: str | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start a new list of epochs; the figures of earlier calls stay, as in Keras."""
        self.epoch = []
        self.stop_reason = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the figures of the epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self.model is not None:
            self.model.history = self

    def _repr_html_(self) -> str:
        """Return the figures of each epoch as a table, for notebooks."""
        rows = len(next(iter(self.history.values()), ()))
        head = "".join(f"<th>{escape(name)}</th>" for name in ("epoch", *self.history))
        lines = []
        for epoch in range(rows):
            cells = "".join(f"<td>{_cell(values, epoch)}</td>" for values in self.history.values())
            lines.append(f"<tr><th>{epoch + 1}</th>{cells}</tr>")
        stopped = f"<p>{escape(self.stop_reason)}</p>" if self.stop_reason else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>{stopped}"

    def state_dict(self) -> dict[str, Any]:
        """Return the figures, the epochs and the stop reason."""
        figures = {name: list(values) for name, values in self.history.items()}
        return {"history": figures, "epoch": list(self.epoch), "stop_reason": self.stop_reason}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        super().load_state_dict(state)
        self.history = Figures({name: list(values) for name, values in self.history.items()})
        self.epoch = list(self.epoch)


def _cell(values: Sequence[Any], epoch: int) -> str:
    """Return the figure of an epoch as text; "" if that epoch has none."""
    value = values[epoch] if epoch < len(values) else None
    return "" if value is None else f"{value:.4g}" if isinstance(value, (int, float)) else escape(str(value))
