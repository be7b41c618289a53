"""The figures of a trainer, seen as Keras's ``model.metrics``."""

from __future__ import annotations

from typing import Any

from regraft.training.meter import Meter


class MetricView:
    """One figure: ``name``, ``result()``, ``reset_state()``.

    Args:
        name: its name in the logs.
        meter: the sums that it comes from.
        direction: ``"min"`` or ``"max"``, where it is known.
    """

    def __init__(self, name: str, meter: Meter, direction: str | None) -> None:
        self.name = name
        self._meter = meter
        self._direction = {"min": "down", "max": "up"}.get(direction or "")

    def result(self) -> Any:
        """Return the figure of the epoch so far; 0.0 before the first batch."""
        return dict(self._meter.logs()).get(self.name, 0.0)

    def reset_state(self) -> None:
        """Forget the batches so far, of all figures: they are counted together."""
        self._meter.reset()

    reset_states = reset_state

    def __repr__(self) -> str:
        return f"<metric name={self.name}>"


def views_of(meter: Meter) -> list[MetricView]:
    """Return a view of each figure, ``loss`` first."""
    directions = meter.directions()
    return [MetricView(name, meter, directions.get(name)) for name in meter.names()]
