"""Figures of each class: precision, recall and F1 with intervals; ranks; ROC and precision against recall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regraft.measure.curves import ClassCurves, class_curves, rank_curve
from regraft.report.charts import class_chart
from regraft.report.drawing import SERIES, figure_html
from regraft.report.elements import bar, details, section, share, table
from regraft.report.page import name
from regraft.report.run_data import RunData

MAX_OPEN = 25
"""Classes up to which the table of all classes is open."""


def class_figures(run: RunData) -> str:
    """Return precision, recall and F1 of each class, the weakest first."""
    if not run.headline:
        return ""
    rows: list[Mapping[str, Any]] = [*run.headline["figures"]["per_class"]]
    rows.sort(key=lambda row: (row["f1"]["value"] is not None and row["f1"]["value"], -row["support"]))
    cells = []
    for row in rows:
        recall = row["recall"]
        drawn = "" if recall["value"] is None else bar(recall["value"], recall["interval"])
        figures = (share(row[key]) for key in ("recall", "precision", "f1"))
        cells.append([name(row["label"]), f"{row['support']:,}", drawn, *figures])
    head = ["class", "photos", "", "recall", "precision", "F1"]
    body = table(head, cells, caption="Recall, precision and F1 of each class, with 95 % intervals")
    intro = (
        "<p>Recall: of the photos of a class, how many got its name. Precision: of the photos that got the name, how "
        "many are of the class. The small numbers are 95 % intervals; the weakest class is first.</p>"
    )
    shown = body if len(rows) <= MAX_OPEN else details(f"All {len(rows):,} classes", body)
    return section("per-class", "How good each class is", intro, shown, _ranks(run), _curves(run))


def _ranks(run: RunData) -> str:
    p = run.photos.probabilities
    if p is None or p.shape[1] < 3 or not len(p):
        return ""
    rows = [
        [f"{k} {'guess' if k == 1 else 'guesses'}", bar(figure["value"], figure["interval"]), share(figure)]
        for k, figure in enumerate(rank_curve(p, run.labels), start=1)
    ]
    return "<h3>Right within the first guesses</h3>" + table(
        ["with", "", "right"], rows, caption="Share of photos whose class is among the first guesses"
    )


def _curves(run: RunData) -> str:
    p = run.photos.probabilities
    if p is None or len(p) < 2:
        return ""
    curves: dict[str, ClassCurves] = {}
    for number, label in enumerate(run.classes):
        one = class_curves(p[:, number], run.labels == number)
        if one is not None:
            curves[label] = one
    if not curves:
        return ""
    if len(run.classes) == 2:
        curves = dict(list(curves.items())[:1])
    weakest = dict(sorted(curves.items(), key=lambda pair: pair[1].auc)[: len(SERIES)])
    title = f", the {len(weakest)} weakest of {len(curves)} classes" if len(weakest) < len(curves) else ""
    charts = figure_html(class_chart(weakest, "roc"), "roc", f"ROC{title}", "area under the curve in the legend")
    charts += figure_html(
        class_chart(weakest, "precision_recall"),
        "pr",
        f"Precision and recall{title}",
        "average precision in the legend",
    )
    rows = [
        [name(label), f"{one.n:,}", f"{one.auc:.3f}", f"{one.average_precision:.3f}"] for label, one in curves.items()
    ]
    numbers = table(["class", "photos", "ROC area", "average precision"], rows, caption="Areas under the curves")
    return (
        f'<h3>One class against all others</h3><div class="charts">{charts}</div>'
        f"{details('The areas as a table', numbers)}"
    )
