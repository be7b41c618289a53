"""The learning curve, and what more photos of each class are expected to gain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regraft.report.charts import learning_chart
from regraft.report.drawing import figure_html
from regraft.report.elements import details, section, table
from regraft.report.page import name
from regraft.report.run_data import RunData

MAX_ROWS = 12
"""Classes whose expected gain is shown at once."""


def outlook(run: RunData) -> str:
    """Return the learning curve and the expected gain of more photos, class by class."""
    curve: Mapping[str, Any] = run.metrics.get("learning_curve") or {}
    if not curve:
        return ""
    chart = figure_html(learning_chart(curve["points"]), "learning", "The linear probe with fewer photos")
    gains = [one for one in curve["gains"] if one["recall"]["value"] is not None]
    gains.sort(key=lambda one: -one["recall"]["value"])
    rows = []
    for one in gains:
        low, high = one["recall"]["interval"]
        gain = f"+{100 * one['recall']['value']:.1f} points <small>{100 * low:.1f} – {100 * high:.1f}</small>"
        rows.append([name(one["label"]), f"{one['training']:,}", gain])
    head = ["class", "training photos", f"gain of {curve['more']} more"]
    caption = f"Expected gain of {curve['more']} more photos of each class"
    shown = table(head, rows[:MAX_ROWS], caption=caption)
    rest = details(f"{len(rows) - MAX_ROWS} more classes", table(head, rows[MAX_ROWS:], caption="More classes"))
    intro = (
        "<p>Points of recall: of 100 new photos of the class, how many more would get the right name. Extrapolated "
        "from the curve, with 95 % intervals. Where the curve is flat, more photos like these gain little.</p>"
    )
    return section(
        "photos-needed",
        "What more photos would gain",
        f'<div class="charts">{chart}<div>{intro}{shown}{rest if len(rows) > MAX_ROWS else ""}</div></div>',
    )
