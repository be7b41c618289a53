"""Trust in single predictions: reliability, accuracy against coverage, and certified thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regraft.context.commands import train_command
from regraft.measure.curves import coverage_curve, reliability_bins
from regraft.report.charts import coverage_chart, reliability_chart
from regraft.report.drawing import figure_html
from regraft.report.elements import command_line, section, table
from regraft.report.page import text
from regraft.report.run_data import RunData
from regraft.text import counted, interval, percent


def trust(run: RunData) -> str:
    """Return how far probabilities can be trusted, and the thresholds below which a prediction is unsure."""
    charts = _charts(run)
    return section("trust", "When to trust a prediction", charts, _thresholds(run))


def _charts(run: RunData) -> str:
    p = run.photos.probabilities
    if p is None or not len(p) or not run.headline:
        return ""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == run.labels
    error = run.headline["figures"]["calibration_error"]
    note = ""
    if error["value"] is not None:
        bounds = interval(error)
        note = f"calibration error {percent(error['value'])}{f' ({bounds})' if bounds else ''}"
    reliability = figure_html(
        reliability_chart(reliability_bins(confidence, right)), "reliability", "Are probabilities honest?", note
    )
    chosen = _chosen(run)
    accepted = None if chosen is None or chosen["threshold"] is None else chosen["accepted"] / max(chosen["n"], 1)
    coverage = figure_html(
        coverage_chart(coverage_curve(confidence, right), accepted),
        "coverage",
        "Accuracy if unsure photos are left to a person",
    )
    return f'<div class="charts">{reliability}{coverage}</div>'


def _chosen(run: RunData) -> Mapping[str, Any] | None:
    reject: Mapping[str, Any] = run.metrics.get("reject") or {}
    entries = [one for one in reject.get("thresholds", ()) if one["max_error"] == reject.get("max_error")]
    return entries[0] if entries else None


def _thresholds(run: RunData) -> str:
    reject: Mapping[str, Any] = run.metrics.get("reject") or {}
    if not reject:
        return ""
    if not reject["thresholds"]:
        return f"<h3>Certified thresholds</h3><p>There is none: {text(reject.get('why', ''))}.</p>"
    rows = [_row(one) for one in reject["thresholds"]]
    head = ["at most", "answer from", "answers", "mistakes among them", ""]
    n = reject["thresholds"][0]["n"]
    intro = (
        f"<p>Above such a threshold, the share of mistakes on new photos stays below the promise with 95 % confidence: "
        f"an exact binomial test on {counted(n, 'photo')} that no choice has used. Near-copies count once.</p>"
    )
    chosen = _chosen(run)
    if chosen is not None and chosen["threshold"] is not None:
        promise = _round(chosen["max_error"])
        says = "below it, <code>regraft predict</code> says unsure"
        end = f"<p>The model file has the threshold for {promise}: {says}.</p>"
    else:
        end = _suggestion(run, reject["thresholds"])
    return f"<h3>Certified thresholds</h3>{intro}{table(head, rows, left=(4,), caption='Certified thresholds')}{end}"


def _suggestion(run: RunData, thresholds: Sequence[Mapping[str, Any]]) -> str:
    """Return the command that puts the strictest certified threshold into the model file."""
    certified = [one for one in thresholds if one["threshold"] is not None]
    if not certified or not run.config.get("photos"):
        return ""
    command = train_command({**run.config, "max_error": f"{100 * certified[0]['max_error']:.3g}%"})
    return command_line(command, "Put a threshold into the model file:")


def _row(one: Mapping[str, Any]) -> list[str]:
    promise = f"{_round(one['max_error'])} mistakes"
    if one["threshold"] is not None:
        share = percent(one["accepted"] / max(one["n"], 1))
        answer = percent(one["threshold"]) if one["threshold"] else "any"
        return [promise, answer, share, f"{one['mistakes']:,} of {one['accepted']:,}", "certified"]
    needed = one["photos_needed"]
    why = "too many mistakes even among the surest" if needed is None else f"needs about {needed:,} photos"
    return [promise, "–", "–", "–", why]


def _round(share: float) -> str:
    """Return a share that a person chose, without needless digits: ``"2 %"``."""
    return f"{100 * share:.3g} %"
