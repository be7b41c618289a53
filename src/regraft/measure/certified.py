"""A reject threshold with a guarantee: among photos above it, the share of mistakes is below a promise.

The photos are sorted by the probability of their predicted class, the surest first. Each prefix is tested: were its
mistakes as frequent as the promise allows, so few would be unlikely (an exact binomial test). Testing begins at a fixed
number of photos and ends at the first prefix that fails, so that testing many prefixes costs no certainty as long as
less sure photos are not better classified (fixed-sequence testing: Angelopoulos et al. 2021, "Learn then Test",
https://arxiv.org/abs/2110.01052, section 2.2). Several such sequences share the risk, because a mistake near the
beginning would end a single one. See Geifman and El-Yaniv 2017, "Selective classification for deep neural networks",
https://arxiv.org/abs/1705.08500.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RISK = 0.05
"""Accepted probability that the promise is broken: one minus the confidence."""

MAX_SEQUENCES = 5
MIN_PREFIX = 50
"""Fewest photos whose share of mistakes is extrapolated."""

MAX_PHOTOS = 1_000_000
"""More photos than this are not asked for."""


@dataclass(frozen=True)
class Certificate:
    """The result of a search for a threshold.

    Attributes:
        max_error: the promise: the highest share of mistakes among accepted photos.
        threshold: lowest probability of the predicted class at which a photo is accepted; None if none is certified.
        n: photos that were measured.
        accepted: how many of them are accepted.
        mistakes: mistakes among the accepted ones.
        photos_needed: without a threshold, roughly how many measured photos would give one; None if the mistakes are
            too frequent even among the surest photos, or if there is a threshold.
    """

    max_error: float
    threshold: float | None
    n: int
    accepted: int = 0
    mistakes: int = 0
    photos_needed: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the certificate as JSON values for ``metrics.json``."""
        return {
            "max_error": self.max_error,
            "threshold": self.threshold,
            "n": self.n,
            "accepted": self.accepted,
            "mistakes": self.mistakes,
            "photos_needed": self.photos_needed,
        }


def certify(confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_], max_error: float) -> Certificate:
    """Return the lowest threshold whose share of mistakes is below ``max_error`` with 95 % confidence.

    Args:
        confidence: probability of the predicted class of each photo, shape (n,). No choice may have seen these photos,
            and none may be a near-copy of another.
        right: whether the prediction is right, shape (n,).
        max_error: the promise, in (0, 1).

    Raises:
        ValueError: ``max_error`` is not in (0, 1), or the shapes differ.
    """
    if not 0 < max_error < 1:
        raise ValueError(f"max_error: expected a share above 0 and below 1, found {max_error}")
    if confidence.shape != right.shape or confidence.ndim != 1:
        raise ValueError(f"expected two arrays of one shape (n,), found {confidence.shape} and {right.shape}")
    n = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    sure, mistakes = confidence[order].astype(np.float64), np.cumsum(~right[order], dtype=np.int64)
    accepted = _certified(sure, mistakes, max_error)
    if not accepted:
        return Certificate(max_error, None, n, photos_needed=_photos_needed(mistakes, max_error))
    threshold = 0.0 if accepted == n else float((sure[accepted - 1] + sure[accepted]) / 2)
    return Certificate(max_error, threshold, n, accepted, int(mistakes[accepted - 1]))


def _certified(sure: NDArray[np.float64], mistakes: NDArray[np.int64], max_error: float) -> int:
    """Return how many of the surest photos are accepted; 0 if no prefix is certified."""
    n = len(sure)
    sequences = sum(_fewest(max_error, RISK) << i <= n for i in range(MAX_SEQUENCES))
    if not sequences:
        return 0
    risk = RISK / sequences
    starts = [_fewest(max_error, risk) << i for i in range(sequences)]
    ends = np.append(sure[:-1] > sure[1:], True)  # a threshold cannot divide photos of equal probability
    chance = _chances(mistakes, max_error)
    best = 0
    for start in starts:
        for count in (np.flatnonzero(ends[start - 1 :]) + start).tolist():
            if chance[count - 1] > risk:
                break
            best = max(best, count)
    return best


def _fewest(max_error: float, risk: float) -> int:
    """Return the fewest photos that certify a promise if all of them are right."""
    return math.ceil(math.log(risk) / math.log1p(-max_error))


def _chances(mistakes: NDArray[np.int64], rate: float) -> NDArray[np.float64]:
    """Return P(X <= mistakes) for X ~ Binomial(count, rate) of each prefix, shape (n,).

    From one prefix to the next, the probability changes by the probability of exactly that many mistakes.
    """
    out = np.empty(len(mistakes))
    at_most, log_exactly, before = 1.0, 0.0, 0
    odds = math.log(rate) - math.log1p(-rate)
    for count, total in enumerate(mistakes.tolist()):
        at_most = max(0.0, at_most - rate * math.exp(log_exactly))
        log_exactly += math.log1p(-rate) + math.log((count + 1) / (count + 1 - before))
        if total > before:
            log_exactly += odds + math.log((count + 1 - before) / total)
            at_most += math.exp(log_exactly)
            before = total
        out[count] = at_most
    return out


def _photos_needed(mistakes: NDArray[np.int64], max_error: float) -> int | None:
    """Return the smallest number of measured photos at which a prefix would pass if its share of mistakes stayed."""
    n = len(mistakes)
    if not n:
        return _fewest(max_error, RISK)
    count = np.arange(1, n + 1)
    share = (mistakes + 0.5) / (count + 1)
    best: float = math.inf
    for prefix in np.unique(np.geomspace(min(n, MIN_PREFIX), n, 40).astype(np.int64)).tolist():
        gap = max_error - share[prefix - 1]
        if gap <= 0:
            continue
        accepted = 2.706 * max_error * (1 - max_error) / gap**2  # where the normal approximation of the test passes
        best = min(best, max(accepted, _fewest(max_error, RISK)) * n / prefix)
    return math.ceil(best) if best <= MAX_PHOTOS else None
