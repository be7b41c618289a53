"""95 % intervals of figures: how far a number measured on these photos may be from the truth about all such photos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.randomness import generator

LEVEL = 0.95
Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)

RESAMPLES = 1000
UNITS = 10_000
"""Resampling more photos than this resamples as many blocks of them, dealt by chance: as good, and bounded."""

NO_PHOTOS = "there are no photos to measure it on"
ONE_PHOTO = "one photo says nothing about the spread"

Interval = tuple[float, float]


def figure(value: float | None, n: int, interval: Interval | None, why: str = "") -> dict[str, Any]:
    """Return a figure as `metrics.json` holds it.

    Args:
        value: the figure, or None where it is not defined.
        n: on how many photos it was measured.
        interval: its 95 % interval, or None where the photos say nothing about it.
        why: why something is None.
    """
    out: dict[str, Any] = {"value": value, "n": n, "interval": None if interval is None else list(interval)}
    return {**out, "why": why} if why else out


def proportion(successes: int, n: int, why: str = NO_PHOTOS) -> dict[str, Any]:
    """Return the figure ``successes / n`` with its Wilson interval; null, and ``why``, for n = 0."""
    return figure(successes / n, n, wilson(successes, n)) if n else figure(None, 0, None, why)


def wilson(successes: int, n: int) -> Interval:
    """Return the 95 % interval of a proportion; for n = 0 it is all of [0, 1].

    Wilson 1927, "Probable inference, the law of succession, and statistical inference". Unlike the textbook interval it
    is never empty at 0 or 1: one photo, predicted right, gives [0.21, 1].
    """
    if n == 0:
        return 0.0, 1.0
    share, square = successes / n, Z * Z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = Z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == n else centre + half)


def mean_of_proportions(successes: Sequence[int], n: Sequence[int]) -> Interval:
    """Return the 95 % interval of the mean of independent proportions, from their Wilson intervals.

    Zou and Donner 2008, "Construction of confidence limits about effect measures" (MOVER): the distances from each
    proportion to its limits are added in squares.
    """
    shares = [s / m for s, m in zip(successes, n, strict=True)]
    limits = [wilson(s, m) for s, m in zip(successes, n, strict=True)]
    mean = sum(shares) / len(shares)
    below = math.hypot(*(share - low for share, (low, _) in zip(shares, limits, strict=True))) / len(shares)
    above = math.hypot(*(high - share for share, (_, high) in zip(shares, limits, strict=True))) / len(shares)
    return max(0.0, mean - below), min(1.0, mean + above)


def paired_proportions(both: int, first: int, second: int, neither: int) -> Interval:
    """Return the 95 % interval of ``(share of the first) - (share of the second)``, both measured on the same photos.

    Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on paired data",
    method 10.

    Args:
        both: photos that both get right.
        first: photos that only the first gets right.
        second: photos that only the second gets right.
        neither: photos that neither gets right.
    """
    n = both + first + second + neither
    if n == 0:
        return -1.0, 1.0
    p1, p2 = (both + first) / n, (both + second) / n
    (l1, u1), (l2, u2) = wilson(both + first, n), wilson(both + second, n)
    correlation = _correlation(both, first, second, neither)
    difference = (first - second) / n

    def distance(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * correlation * a * b + b * b))

    return difference - distance(p1 - l1, u2 - p2), difference + distance(u1 - p1, p2 - l2)


def _correlation(both: int, first: int, second: int, neither: int) -> float:
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if margins == 0:
        return 0.0
    n, cross = both + first + second + neither, both * neither - first * second
    return (max(cross - n / 2, 0.0) if cross > 0 else float(cross)) / math.sqrt(margins)


def mean_interval(values: NDArray[np.float64], *key: str | int) -> Interval | None:
    """Return the 95 % bootstrap interval of the mean of ``values``, shape (n,); None for n < 2.

    Args:
        values: one number for each photo.
        key: what the resampling is keyed by; the same key, the same resamples.
    """
    n = len(values)
    return None if n < 2 else mean_limits(resampled_sums(values[:, None], *key)[:, 0] / n, n)


def mean_limits(means: NDArray[np.float64], n: int) -> Interval:
    """Return the 95 % interval of a mean from the means of bootstrap samples of its n > 1 values.

    Expanded percentiles (Hesterberg 2015, "What teachers should know about the bootstrap", section 4.4): with few
    values the percentiles are taken further out, as Student's t does.
    """
    tail = NormalDist().cdf(-math.sqrt(n / (n - 1)) * student_t(n - 1))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def resampled_sums(columns: NDArray[np.float64], *key: str | int) -> NDArray[np.float64]:
    """Return column sums of `RESAMPLES` bootstrap samples of the n rows: (n, c) -> (resamples, c).

    Efron 1979, "Bootstrap methods". More than `UNITS` rows are first dealt into that many blocks, which are resampled
    instead, so that time and memory stay bounded.
    """
    draw = generator("bootstrap", *key)
    n, sums = len(columns), columns.sum(axis=0)
    columns = columns - sums / max(1, n)  # blocks differ in size by one: deviations add up right, values would not
    if n > UNITS:
        block = draw.permutation(np.arange(n) % UNITS)
        columns = np.stack([np.bincount(block, column, UNITS) for column in columns.T], axis=1)
    units = len(columns)
    if not units:
        return np.zeros((RESAMPLES, len(sums)))
    out = np.empty((RESAMPLES, columns.shape[1]))
    step = max(1, min(RESAMPLES, 400_000 // units))
    for i in range(0, RESAMPLES, step):
        many = min(step, RESAMPLES - i)
        drawn = draw.integers(0, units, (many, units), dtype=np.int32)
        drawn += np.arange(many, dtype=np.int32)[:, None] * np.int32(units)
        counts = np.bincount(drawn.ravel(), minlength=many * units).reshape(many, units)
        out[i : i + many] = counts.astype(np.float64) @ columns + sums
    return out


def student_t(df: int) -> float:
    """Return the 97.5 % quantile of Student's t with ``df`` degrees of freedom, to 0.001.

    Exact for 1 and 2, tabulated to 5, then the expansion of Abramowitz and Stegun 26.7.5.
    """
    known = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706}
    if df in known:
        return known[df]
    z = Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / df ** (i + 1) for i, term in enumerate(terms))
