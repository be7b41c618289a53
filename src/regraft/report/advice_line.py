"""One line of advice at the end of a training: what it gained, or what another way is expected to gain."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

from regraft.advice.evidence import shipped_evidence
from regraft.advice.folder_figures import FolderFigures, smoothed_error
from regraft.advice.gain_model import WayGain
from regraft.advice.own_runs import own_evidence, way_of_run
from regraft.advice.ranking import TOSS_UP, Z90, way_gains
from regraft.advice.ways import FACTS, TRAINED, Way

WORTH_NAMING = 0.5
"""Minimum expected points of accuracy of a way that the line names."""


def advice_line(metrics: Mapping[str, Any]) -> str:
    """Return the line for a finished run, "" if its probe was not cross-validated.

    Args:
        metrics: the content of its ``metrics.json``.
    """
    figures = figures_of_run(metrics)
    if figures is None:
        return ""
    size = f"{figures.photos_a_class:,.0f} photos a class, {100 * figures.error:.0f} % wrong by the linear probe"
    taken = way_of_run(metrics)
    if taken is not None:
        return f"{_gain_of_run(metrics, taken)} ({size})"
    ways: tuple[Way, ...] = ("depth", "two networks", *TRAINED)
    gains = way_gains(figures, ways, [*shipped_evidence(), *own_evidence()])
    best = max(ways, key=lambda way: gains[way].mean)
    points = 100 * figures.error * gains[best].mean
    if points < WORTH_NAMING or metrics["chosen"] != "linear-probe" or metrics["training"].get("depth_scale"):
        return f"no other way is expected to gain half a point ({size})"
    gain = gains[best]
    chance = NormalDist().cdf(gain.mean / gain.deviation)
    tossed = "a toss-up, " if chance < TOSS_UP else ""
    expected = f"{_points(figures, gain)} expected over the linear probe"
    return f"{tossed}{FACTS[best].title}: {expected}; better on {100 * chance:.0f} of 100 such folders ({size})"


def figures_of_run(metrics: Mapping[str, Any]) -> FolderFigures | None:
    """Return the figures of the folder of a run, without similarity and learning curve."""
    folds = metrics["measured"].get("linear-probe/out-of-fold")
    if folds is None or not folds["n"]:
        return None
    n, accuracy = folds["n"], folds["figures"]["accuracy"]["value"]
    error = smoothed_error((1 - accuracy) * n, n)
    log_loss = float(folds["figures"]["log_loss"]["value"] or 0.0)
    classes = len(folds["figures"]["per_class"])
    return FolderFigures(n, classes, error, (error * (1 - error) / n) ** 0.5, log_loss)


def _gain_of_run(metrics: Mapping[str, Any], way: Way) -> str:
    """Return what a run gained over the linear probe on the same photos, in words."""
    photos = str(metrics["headline"]).partition("/")[2]
    final, probe = (
        metrics["measured"][f"{model}/{photos}"]["figures"]["accuracy"]["value"] for model in ("final", "linear-probe")
    )
    points = 100 * (final - probe)
    paid = "paid" if points > 0 else "did not pay"
    return f"{FACTS[way].title} {paid}: {points:+.1f} points over the linear probe"


def _points(figures: FolderFigures, gain: WayGain) -> str:
    scale = 100 * figures.error
    low, high = (scale * (gain.mean + sign * Z90 * gain.deviation) for sign in (-1, 1))
    return f"{scale * gain.mean:+.1f} points ({low:+.1f} to {high:+.1f})"
