"""Certified reject thresholds of a run: below them, `predict` says "unsure"."""

from __future__ import annotations

from typing import Any

from regraft.context.run_context import RunContext
from regraft.measure.certified import certify
from regraft.screen import Screen
from regraft.text import percent
from regraft.workflows.steps.photo_records import Predicted

PROMISES = (0.01, 0.02, 0.05, 0.1)
"""Shares of mistakes for which a threshold is always searched."""


def reject_thresholds(context: RunContext, predicted: Predicted, entry: dict[str, Any]) -> dict[str, Any]:
    """Return the thresholds for ``metrics.json``: those of `PROMISES` and of ``--max-error``.

    Args:
        context: the run.
        predicted: the photos behind the headline figure and their probabilities.
        entry: the entry of the headline figure in ``measured``.
    """
    chosen = context.config.max_error
    about = {"photos": entry["photos"], "max_error": chosen}
    if entry["used_for_choosing"]:
        return {
            **about,
            "thresholds": [],
            "why": "a choice has used these photos",
        }
    rows = _one_of_each_unit(context, predicted)
    p, y = predicted.probabilities[rows], context.dataset.labels(predicted.entries)[rows]
    confidence, right = p.max(axis=1, initial=0.0), p.argmax(axis=1) == y
    promises = sorted({*PROMISES, *(() if chosen is None else (chosen,))})
    return {**about, "thresholds": [certify(confidence, right, promise).as_dict() for promise in promises]}


def _one_of_each_unit(context: RunContext, predicted: Predicted) -> list[int]:
    """Return the rows of the photos that are counted: one of each group of near-copies, by its content."""
    units = context.dataset.units(predicted.entries)
    order = sorted(range(len(units)), key=lambda row: predicted.entries[row].content)
    return sorted({units[row]: row for row in reversed(order)}.values())


def chosen_threshold(thresholds: dict[str, Any]) -> dict[str, Any] | None:
    """Return the entry of ``--max-error``, or None if it was not given or the photos prove nothing."""
    entries = [one for one in thresholds["thresholds"] if one["max_error"] == thresholds["max_error"]]
    return entries[0] if entries else None


def threshold_facts(thresholds: dict[str, Any]) -> dict[str, str]:
    """Return the facts for the model file: the threshold of ``--max-error``, if one was certified."""
    chosen = chosen_threshold(thresholds)
    if chosen is None or chosen["threshold"] is None:
        return {}
    return {"reject_below": repr(chosen["threshold"]), "max_error": repr(chosen["max_error"])}


def warn_without_threshold(thresholds: dict[str, Any], screen: Screen) -> None:
    """Warn if ``--max-error`` was given and no threshold is certified; say how many photos that would need."""
    promise = thresholds["max_error"]
    chosen = chosen_threshold(thresholds)
    if promise is None or (chosen is not None and chosen["threshold"] is not None):
        return
    title = f"--max-error {percent(promise)}: no threshold keeps mistakes below it with 95 % confidence"
    if chosen is None:
        screen.warn(f"{title}; {thresholds['why']}")
    elif chosen["photos_needed"] is None:
        screen.warn(f"{title}; even the surest predictions are wrong too often for any number of photos to prove it")
    else:
        screen.warn(
            f"{title}; about {chosen['photos_needed']:,} photos that no choice has used would be needed, "
            f"and there are {chosen['n']:,}"
        )
