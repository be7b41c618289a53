"""The charts of a run: each function returns a function that draws into an axes of matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft.measure.curves import ClassCurves
from regraft.report.drawing import LINE, SERIES, SOFT, Draw, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[Mapping[str, Any]]

FEW_EPOCHS = 10
"""Epochs up to which each has its number on the axis."""


def epochs_chart(history: Rows, key: str, label: str, best: Mapping[str, int], line: float | None = None) -> Draw:
    """Return the chart of a figure of every epoch, in training and validation, over all stages.

    Args:
        history: rows of ``history.csv``.
        key: the figure, such as ``"loss"``; that of the validation photos is ``"val_loss"``.
        label: title of the vertical axis.
        best: epoch that was kept, by stage.
        line: accuracy of the linear probe, drawn as a horizontal line; None for no line.
    """

    def draw(axes: Axes) -> None:
        x = np.arange(1, len(history) + 1)
        for name, title, color in ((key, "training", SERIES[0]), (f"val_{key}", "validation", SERIES[1])):
            if not any(isinstance(row.get(name), float) for row in history):
                continue
            shown = title if f"val_{key}" in history[0] else ""
            for rows in stage_rows(history):
                values = [history[i].get(name) for i in rows]
                y = [value if isinstance(value, float) else np.nan for value in values]
                axes.plot(x[rows], y, color=color, label=shown, marker="o", markersize=3.5)
                shown = ""
        if line is not None:
            axes.axhline(line, color=SERIES[2], linewidth=1.2, linestyle=(0, (4, 3)), label="linear probe")
        _mark_stages(axes, history, best, key)
        axes.set_ylabel(label)
        axes.set_xlabel("epoch")
        _whole_numbers(axes, len(history))
        if axes.get_legend_handles_labels()[1]:
            axes.legend()

    return draw


def stage_rows(history: Rows) -> list[list[int]]:
    """Return the row numbers of each stage, in order."""
    stages: dict[Any, list[int]] = {}
    for number, row in enumerate(history):
        stages.setdefault(row.get("stage"), []).append(number)
    return list(stages.values())


def _mark_stages(axes: Axes, history: Rows, best: Mapping[str, int], key: str) -> None:
    stages = stage_rows(history)
    for rows in stages:
        stage = str(history[rows[0]].get("stage", ""))
        if len(stages) > 1:
            axes.axvline(rows[0] + 0.5, color=LINE, linewidth=1)
            axes.annotate(
                short(stage, 18),
                (rows[0] + 0.6, 1.0),
                xycoords=("data", "axes fraction"),
                va="bottom",
                size=8,
                color=SOFT,
            )
        kept = best.get(stage)
        name = f"val_{key}" if f"val_{key}" in history[0] else key
        value = history[rows[kept - 1]].get(name) if kept is not None and 0 < kept <= len(rows) else None
        if kept is not None and isinstance(value, float):
            axes.plot([rows[kept - 1] + 1], [value], "o", markersize=9, fillstyle="none", color=SERIES[3])
            axes.annotate(
                f"best: epoch {kept}", (rows[kept - 1] + 1, value), xytext=(0, 9), textcoords="offset points",
                ha="center", size=8.5, color=SERIES[3],
            )  # fmt: skip


def _whole_numbers(axes: Axes, n: int) -> None:
    from matplotlib.ticker import MaxNLocator

    if n <= FEW_EPOCHS:
        axes.set_xticks(range(1, n + 1))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.set_xlim(0.5, n + 0.5)
    axes.margins(y=0.18)


def rate_chart(history: Rows) -> Draw:
    """Return the chart of the learning rate of every epoch."""

    def draw(axes: Axes) -> None:
        x = np.arange(1, len(history) + 1)
        for rows in stage_rows(history):
            rates = [history[i].get("learning_rate") for i in rows]
            values = [rate if isinstance(rate, float) else np.nan for rate in rates]
            axes.plot(x[rows], values, color=SERIES[0], marker="o", markersize=3.5)
        axes.set_ylabel("learning rate, end of epoch")
        axes.set_xlabel("epoch")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2g}" if value else "0")
        _whole_numbers(axes, len(history))
        axes.set_ylim(bottom=0)

    return draw


def reliability_chart(bins: Sequence[tuple[float, Mapping[str, Any]]]) -> Draw:
    """Return the reliability diagram: accuracy by probability, with 95 % bands.

    Args:
        bins: result of `regraft.measure.curves.reliability_bins`.
    """

    def draw(axes: Axes) -> None:
        x = [mean for mean, _ in bins]
        y = [figure["value"] for _, figure in bins]
        low, high = zip(*(figure["interval"] for _, figure in bins), strict=True)
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)), label="exact")
        axes.vlines(x, low, high, color=SERIES[0], linewidth=9, alpha=0.25)
        axes.plot(x, y, "o", color=SERIES[0], markersize=5.5, label="measured, 95 % band")
        _percent_axes(axes, "predicted probability", "share that is right")
        axes.legend(loc="upper left")

    return draw


def coverage_chart(curve: NDArray[np.float64], accepted: float | None) -> Draw:
    """Return the chart of accuracy against coverage.

    Args:
        curve: result of `regraft.measure.curves.coverage_curve`.
        accepted: share of photos above the certified threshold; None for no mark.
    """

    def draw(axes: Axes) -> None:
        axes.fill_between(curve[:, 0], curve[:, 2], curve[:, 3], color=SERIES[0], alpha=0.2, linewidth=0)
        axes.plot(curve[:, 0], curve[:, 1], color=SERIES[0])
        if accepted is not None:
            axes.axvline(accepted, color=SERIES[1], linewidth=1.2)
            axes.annotate(
                "certified", (accepted, 0.03), xycoords=("data", "axes fraction"), xytext=(-5, 0),
                textcoords="offset points", ha="right", size=9, color=SERIES[1],
            )  # fmt: skip
        _percent_axes(axes, "share of photos that it answers, the surest first", "right among them")
        axes.set_ylim(max(0.0, float(curve[:, 2].min()) - 0.02), 1.005)

    return draw


def class_chart(curves: Mapping[str, ClassCurves], kind: str) -> Draw:
    """Return the ROC curves or the precision-recall curves of some classes.

    Args:
        curves: the curves of each class, at most as many as there are colors.
        kind: ``"roc"`` or ``"precision_recall"``.
    """

    def draw(axes: Axes) -> None:
        for (label, one), color in zip(curves.items(), SERIES, strict=False):
            points = getattr(one, kind)
            area = one.auc if kind == "roc" else one.average_precision
            axes.plot(points[:, 0], points[:, 1], color=color, label=f"{short(label)} {area:.3f}", linewidth=1.6)
        names = {"roc": ("false alarms", "found"), "precision_recall": ("recall", "precision")}
        _percent_axes(axes, *names[kind])
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.03)
        axes.legend(loc="lower right" if kind == "roc" else "lower left", fontsize=8)

    return draw


def learning_chart(points: Rows) -> Draw:
    """Return the learning curve: accuracy by number of training photos, with 95 % intervals."""

    def draw(axes: Axes) -> None:
        x = [point["training"] for point in points]
        y = [point["accuracy"]["value"] for point in points]
        low, high = zip(*(point["accuracy"]["interval"] for point in points), strict=True)
        axes.vlines(x, low, high, color=SERIES[0], linewidth=1.4)
        axes.plot(x, y, color=SERIES[0], marker="o", markersize=5)
        axes.set_xscale("log")
        axes.set_xticks(x, [f"{n:,}" for n in x])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("training photos")
        axes.set_ylabel("accuracy of the linear probe")
        axes.yaxis.set_major_formatter(_percent)
        axes.margins(0.12)

    return draw


def _percent(value: float, _: object = None) -> str:
    return f"{100 * value:.4g} %"


def _percent_axes(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.xaxis.set_major_formatter(_percent)
    axes.yaxis.set_major_formatter(_percent)
