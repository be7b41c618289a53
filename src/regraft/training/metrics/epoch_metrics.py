"""The metrics of an epoch: running sums of the loss, the losses of the outputs and the metrics."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from regraft.errors import TrainingError
from regraft.training.auxiliary import Auxiliary, is_single, main_output, named_outputs
from regraft.training.losses.ignored import masked
from regraft.training.losses.objective import part_of, target_of
from regraft.training.losses.reading import Reading
from regraft.training.metrics.logs import BatchLogs
from regraft.training.metrics.metrics import Metric, as_metric


class EpochMetrics:
    """Sums over the batches of an epoch. The sums stay on the device until a figure is read.

    ``loss`` is the mean of the batches' losses, each counted by its number of samples, as Keras's is.

    Args:
        metrics: names, torchmetrics objects, functions; a dict by output where there are several.
        weighted: metrics in which samples count by their weight.
        reading: returns how the loss interprets an output, given its name (None: the only one) and position.
    """

    def __init__(
        self,
        metrics: Any = None,
        weighted: Any = None,
        reading: Callable[[str | None, int], Reading] | None = None,
    ) -> None:
        self._reading = reading or _unknown
        self.metrics: dict[str | None, list[Metric]] = {}
        for group, counted in ((metrics, False), (weighted, True)):
            for output, some in _by_output(group).items():
                own = [as_metric(one, weighted=counted) for one in some]
                self.metrics.setdefault(output, []).extend(own)
        for output, some_metrics in self.metrics.items():
            _make_unique(output, some_metrics)
        self._all = [m for some in self.metrics.values() for m in some]
        _check_names(self._all)
        self._stateful = any(m.stateful for m in self._all)
        self._logs: list[weakref.ref[BatchLogs]] = []
        self.reset()

    def __getstate__(self) -> dict[str, Any]:
        """Return everything but the logs in use, which belong to their readers."""
        return vars(self) | {"_logs": []}

    def reset(self) -> None:
        """Start an epoch."""
        self._compute_open_logs()
        self.loss: Tensor | None = None
        self.parts: dict[str, Tensor] = {}
        self.size = 0
        self._absent: set[str | None] = set()  # auxiliary outputs, which inference lacks
        for metric in self._all:
            metric.reset()

    def update(
        self,
        loss: Tensor,
        parts: Sequence[tuple[str, Tensor]],
        size: int,
        outputs: Any,
        targets: Any,
        weight: Any = None,
        auxiliary: Auxiliary | None = None,
    ) -> None:
        """Add a batch of ``size`` samples. Call it with gradients off; otherwise every batch stays in memory."""
        if self._stateful:
            self._compute_open_logs()
        self.size += size
        self.loss = _add(self.loss, loss, size)
        for name, value in parts:
            self.parts[name] = _add(self.parts.get(name), value, size)
        if self._all:
            self._update_metrics(outputs, targets, weight, auxiliary)

    def _update_metrics(self, outputs: Any, targets: Any, weight: Any, auxiliary: Auxiliary | None) -> None:
        single = is_single(outputs)
        for name, metrics in self.metrics.items():
            if name is None and (single or (auxiliary is not None and auxiliary.found and is_single(targets))):
                self._add(metrics, main_output(outputs), targets, weight, self._reading(None, 0))
                continue
            names = [key for key, _ in named_outputs(outputs)] if not single else auxiliary.names if auxiliary else []
            if name not in names:
                raise TrainingError(_no_output(name, [] if single else names))
            position = names.index(name)
            if single and position:
                self._absent.add(name)
                continue
            output = outputs if single else part_of(outputs, name, position)
            own = part_of(weight, name, position) if isinstance(weight, (Mapping, tuple, list)) else weight
            target = target_of(targets, name, position)
            self._add(metrics, output, target, own, self._reading(name, position))

    @staticmethod
    def _add(metrics: Sequence[Metric], output: Any, target: Any, weight: Any, reading: Reading) -> None:
        for metric in metrics:
            own = weight
            if reading.ignored is not None and metric.skips_ignored:
                metric.masked = True
                own = masked(output, target, weight if metric.weighted else None, reading.ignored)
            metric.update(output, target, own, reading)

    def logs(self) -> BatchLogs:
        """Return the present figures; they are computed when they are read."""
        figures: dict[str, Any] = {}
        if self.loss is not None:
            figures["loss"] = (self.loss, self.size)
        for name, total in self.parts.items():
            figures[name] = (total, self.size)
        for output, metrics in self.metrics.items():
            for metric in metrics if output not in self._absent else ():
                figures.update(metric.figures())
        logs = BatchLogs(figures)
        if self._stateful:
            self._logs.append(weakref.ref(logs))
        return logs

    def _compute_open_logs(self) -> None:
        """Compute the figures of logs that are still in use, before the metrics change."""
        for reference in self._logs:
            logs = reference()
            if logs is not None:
                logs.compute()
        self._logs = []

    def names(self) -> list[str]:
        """Return the names of the figures that are known before the first batch."""
        return ["loss", *(m.name for m in self._all)]

    def directions(self) -> dict[str, str]:
        """Return for each figure whether a lower (``"min"``) or higher (``"max"``) value is better, where known."""
        return {"loss": "min"} | {m.name: m.direction for m in self._all if m.direction}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far."""
        metrics = {m.name: m.state_dict() for m in self._all}
        return {"loss": self.loss, "parts": dict(self.parts), "size": self.size, "metrics": metrics}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the sums."""
        self.loss, self.parts, self.size = state["loss"], dict(state["parts"]), state["size"]
        for metric in self._all:
            metric.load_state_dict(state["metrics"][metric.name])


def _add(total: Tensor | None, value: Tensor, size: int) -> Tensor:
    """Return ``total + size * value`` as a new tensor, because earlier logs may still use the old one."""
    if total is None:
        precise = torch.float32 if value.device.type == "mps" else torch.float64
        return value.to(precise) * size
    return torch.add(total, value, alpha=size)


def _no_output(name: str | None, names: Sequence[str]) -> str:
    if name is None:
        return (
            f"metrics is a list, and the module has several outputs, {list(names)}, in inference too; name the output: "
            f"metrics={{{names[0]!r}: [...]}}"
        )
    return f"metrics are given for the output {name!r}, but the module's outputs are {list(names) or 'one tensor'}"


def _by_output(given: Any) -> dict[str | None, list[Any]]:
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {str(name): _list(some) for name, some in given.items()}
    return {None: _list(given)}


def with_output_names(given: Any) -> Any:
    """Return metrics as a dict by output, if they are a list of lists, one for each output, as in Keras."""
    lists = isinstance(given, (list, tuple)) and any(isinstance(some, list) for some in given)
    if not lists or not all(isinstance(some, list) or some is None for some in given):
        return given
    return {f"output_{i}": some or [] for i, some in enumerate(given)}


def _check_names(metrics: Sequence[Metric]) -> None:
    """Refuse names that the figures of the loss and of the validation have.

    Raises:
        TrainingError: a metric has one.
    """
    for name in (metric.name for metric in metrics):
        if name == "loss" or name.startswith("val_"):
            kind = "the loss" if name == "loss" else "figures of the validation"
            raise TrainingError(
                f"a metric is called {name!r}, the name of {kind} in the logs; pass ('another name', metric)"
            )


def _list(some: Any) -> list[Any]:
    return list(some) if isinstance(some, list) else [some]


def _make_unique(output: str | None, metrics: list[Metric]) -> None:
    """Give metrics the names of Keras: prefixed with the output, and numbered if a name is repeated."""
    seen: dict[str, int] = {}
    for metric in metrics:
        name = f"{output}_{metric.name}" if output else metric.name
        if name in seen and metric.weighted and f"weighted_{name}" not in seen:
            name = f"weighted_{metric.name}" if not output else f"{output}_weighted_{metric.name}"
        count = seen.get(name, 0)
        seen[name] = count + 1
        metric.name = f"{name}_{count}" if count else name


def _unknown(output: str | None, position: int) -> Reading:
    return Reading()


class MetricView:
    """One figure: ``name``, ``result()``, ``reset_state()``.

    Args:
        name: its name in the logs.
        meter: the sums that it comes from.
        direction: ``"min"`` or ``"max"``, where it is known.
    """

    def __init__(self, name: str, meter: EpochMetrics, direction: str | None) -> None:
        self.name = name
        self._meter = meter
        self._direction = {"min": "down", "max": "up"}.get(direction or "")

    def result(self) -> Any:
        """Return the figure of the epoch so far; 0.0 before the first batch."""
        return dict(self._meter.logs()).get(self.name, 0.0)

    def reset_state(self) -> None:
        """Reset all figures, because they share their sums."""
        self._meter.reset()

    reset_states = reset_state

    def __repr__(self) -> str:
        return f"<metric name={self.name}>"


def views_of(meter: EpochMetrics) -> list[MetricView]:
    """Return a view of each figure, ``loss`` first."""
    directions = meter.directions()
    return [MetricView(name, meter, directions.get(name)) for name in meter.names()]
