"""The ways in the order of their expected accuracy, with the probability that each is the best, and expected regret."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from regraft.advice.evidence import Evidence
from regraft.advice.folder_figures import FolderFigures
from regraft.advice.gain_model import NO_GAIN, WayGain, fit_gain_model
from regraft.advice.ways import Way
from regraft.randomness import generator

Z90: Final = 1.644854
"""Standard deviations on both sides of the mean of a normal distribution that contain 90 %."""

TOSS_UP: Final = 0.6
"""Probability of being the best below which the advice is a toss-up."""

WORTH_MINUTES: Final = 0.25
"""Points of expected accuracy that a slower way must have more, for it to be the advice."""

CORRELATION: Final = 0.5
"""Correlation of the gains of two ways on a new folder, around their predictions."""

DRAWS: Final = 8192
"""Number of draws of all gains; probabilities and regrets are counted in them."""

WITHIN_FOLDER: Final = 0.05
"""Standard deviation of a gain between two runs on the same folder."""


@dataclass(frozen=True)
class RankedWay:
    """A way on a folder.

    Attributes:
        way: the way.
        accuracy: expected accuracy on new photos, in [0, 1].
        low: lower bound of its 90 % interval.
        high: upper bound.
        points: expected points of accuracy over the linear probe.
        minutes: its time on this machine; None if unknown.
        affordable: whether it fits into the budget.
        best: probability of being the best of the affordable ways; None for other ways.
        regret: expected points of accuracy that the best of the affordable ways has more; None for other ways.
    """

    way: Way
    accuracy: float
    low: float
    high: float
    points: float
    minutes: float | None = None
    affordable: bool = True
    best: float | None = None
    regret: float | None = None


@dataclass(frozen=True)
class Ranking:
    """All ways on a folder, in the order of `regraft.advice.ways.WAYS`.

    Attributes:
        ways: the ways.
        advised: the way to take: the highest expected accuracy, or a faster way that is as good as that.
    """

    ways: tuple[RankedWay, ...]
    advised: Way

    def of(self, way: Way) -> RankedWay:
        """Return the entry of a way."""
        return next(ranked for ranked in self.ways if ranked.way == way)

    @property
    def is_toss_up(self) -> bool:
        """True if the advised way is not clearly the best."""
        best = self.of(self.advised).best
        return best is None or best < TOSS_UP


def way_gains(
    figures: FolderFigures, ways: Sequence[Way], evidence: Sequence[Evidence], own: Sequence[Evidence] = ()
) -> dict[Way, WayGain]:
    """Return the expected gain of each way over the linear probe.

    Args:
        figures: of the folder.
        ways: the ways.
        evidence: gains on other folders.
        own: gains that were measured on this folder by earlier runs.
    """
    gains: dict[Way, WayGain] = {}
    for way in ways:
        if way == "probe":
            gains[way] = NO_GAIN
            continue
        gain = fit_gain_model(way, evidence).predict(figures)
        for row in own:
            gain = gain.updated(row.gain, row.variance + WITHIN_FOLDER**2) if row.way == way else gain
        gains[way] = gain
    return gains


def expected_refit(figures: FolderFigures, evidence: Sequence[Evidence]) -> WayGain:
    """Return the gain of the linear probe that is fitted on all photos over its out-of-fold figures."""
    return fit_gain_model("probe", evidence).predict(figures)


def rank(
    figures: FolderFigures,
    gains: Mapping[Way, WayGain],
    minutes: Mapping[Way, float],
    budget: float | None = None,
    refit: WayGain = NO_GAIN,
) -> Ranking:
    """Return the ranking of ways.

    Args:
        figures: of the folder.
        gains: the expected gain of each way over the linear probe, which must be among them.
        minutes: minutes that each way takes, where they are known.
        budget: minutes that may be spent, or None. The linear probe always counts as affordable.
        refit: the gain of the fitted probe over its out-of-fold figures, which all ways share.
    """
    ranked = [_expected(figures, way, gain, refit, minutes.get(way)) for way, gain in gains.items()]
    ranked = [replace(one, affordable=_fits(one, budget)) for one in ranked]
    affordable = [one for one in ranked if one.affordable]
    points = 100 * figures.error * _draws([gains[one.way] for one in affordable])
    winner, highest = points.argmax(axis=1), points.max(axis=1)
    counted = {
        one.way: replace(
            one,
            best=float((winner == column).mean()),
            regret=float((highest - points[:, column]).mean()),
        )
        for column, one in enumerate(affordable)
    }
    return Ranking(tuple(counted.get(one.way, one) for one in ranked), _advised(list(counted.values())))


def _expected(figures: FolderFigures, way: Way, gain: WayGain, refit: WayGain, minutes: float | None) -> RankedWay:
    left = max(1 - gain.mean - refit.mean, 0.1)
    accuracy, spread = 1 - figures.error * left, math.hypot(gain.deviation, refit.deviation)
    deviation = math.hypot(figures.error_deviation * min(left, 1.0), figures.error * spread)
    low, high = max(0.0, accuracy - Z90 * deviation), min(1.0, accuracy + Z90 * deviation)
    return RankedWay(way, min(accuracy, 1.0), low, high, 100 * figures.error * gain.mean, minutes)


def _fits(ranked: RankedWay, budget: float | None) -> bool:
    return budget is None or ranked.way == "probe" or (ranked.minutes is not None and ranked.minutes <= budget)


def _draws(gains: Sequence[WayGain]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return draws of all gains together, shape (DRAWS, n); no gain can exceed all mistakes."""
    stream = generator("advice")
    shared, own = stream.standard_normal((DRAWS, 1)), stream.standard_normal((DRAWS, len(gains)))
    noise = math.sqrt(CORRELATION) * shared + math.sqrt(1 - CORRELATION) * own
    mean, deviation = (np.array([getattr(gain, name) for gain in gains]) for name in ("mean", "deviation"))
    return np.minimum(mean + deviation * noise, 1.0)


def _advised(ranked: Sequence[RankedWay]) -> Way:
    """Return the way of the highest expected accuracy, or the fastest of those that are as good as it."""
    most = max(one.points for one in ranked)
    as_good = [one for one in ranked if one.points >= most - WORTH_MINUTES]
    return min(as_good, key=lambda one: (math.inf if one.minutes is None else one.minutes, -one.points)).way
