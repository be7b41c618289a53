"""95 % intervals of figures: the uncertainty of a figure that was measured on a limited number of photos."""

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
MAX_BOOTSTRAP_UNITS = 10_000
"""More photos than this are divided into this number of random blocks, which are resampled instead of photos."""

NO_PHOTOS = "there are no photos to measure"
ONE_PHOTO = "an interval needs at least two photos"

Interval = tuple[float, float]


def figure(value: float | None, n: int, interval: Interval | None, why: str = "") -> dict[str, Any]:
    """Return a figure in the format of `metrics.json`.

    Args:
        value: the figure, or None if it is undefined.
        n: number of photos that it was measured on.
        interval: its 95 % interval, or None if it is undefined.
        why: reason for a value or an interval that is None.
    """
    out: dict[str, Any] = {"value": value, "n": n, "interval": None if interval is None else list(interval)}
    return {**out, "why": why} if why else out


def proportion(successes: int, n: int, why: str = NO_PHOTOS) -> dict[str, Any]:
    """Return the figure ``successes / n`` with its Wilson interval; for n = 0 the value is None, with ``why``."""
    return figure(successes / n, n, wilson(successes, n)) if n else figure(None, 0, None, why)


def wilson(successes: int, n: int) -> Interval:
    """Return the 95 % interval of a proportion; [0, 1] for n = 0.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference". Unlike the normal
    approximation, it has a positive width for the proportions 0 and 1: one correct photo of one gives [0.21, 1].
    """
    if n == 0:
        return 0.0, 1.0
    share, square = successes / n, Z * Z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = Z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == n else centre + half)


def mean_of_proportions(successes: Sequence[int], n: Sequence[int]) -> Interval:
    """Return the 95 % interval of the mean of independent proportions, from their Wilson intervals.

    Zou and Donner 2008, "Construction of confidence limits about effect measures" (MOVER): the squared distances from
    each proportion to its limits are added.
    """
    shares = [s / m for s, m in zip(successes, n, strict=True)]
    limits = [wilson(s, m) for s, m in zip(successes, n, strict=True)]
    mean = sum(shares) / len(shares)
    below = math.hypot(*(share - low for share, (low, _) in zip(shares, limits, strict=True))) / len(shares)
    above = math.hypot(*(high - share for share, (_, high) in zip(shares, limits, strict=True))) / len(shares)
    return max(0.0, mean - below), min(1.0, mean + above)


def paired_proportions(both: int, first: int, second: int, neither: int) -> Interval:
    """Return the 95 % interval of the difference of two proportions, first minus second, on the same photos.

    Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on paired data",
    method 10.

    Args:
        both: number of photos that both classifiers get right.
        first: number that only the first gets right.
        second: number that only the second gets right.
        neither: number that neither gets right.
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
        values: one number per photo.
        key: seed of the resampling; the same key gives the same samples.
    """
    n = len(values)
    return None if n < 2 else interval_of_bootstrap_means(bootstrap_sums(values[:, None], *key)[:, 0] / n, n)


def interval_of_bootstrap_means(means: NDArray[np.float64], n: int) -> Interval:
    """Return the 95 % interval of a mean from the means of bootstrap samples of its n > 1 values.

    Expanded percentiles (Hesterberg 2015, "What teachers should know about the bootstrap", section 4.4): for few values
    the percentiles lie further out, by the ratio of Student's t to the normal quantile.
    """
    tail = NormalDist().cdf(-math.sqrt(n / (n - 1)) * student_t_quantile(n - 1))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_sums(columns: NDArray[np.float64], *key: str | int) -> NDArray[np.float64]:
    """Return column sums of `RESAMPLES` bootstrap samples of the n rows: (n, c) -> (resamples, c).

    Efron 1979, "Bootstrap methods". More than `MAX_BOOTSTRAP_UNITS` rows are first divided into that number of random
    blocks, which are resampled instead of rows. This bounds time and memory.
    """
    draw = generator("bootstrap", *key)
    n, sums = len(columns), columns.sum(axis=0)
    columns = columns - sums / max(1, n)  # block sizes differ by one, which would distort sums of values
    if n > MAX_BOOTSTRAP_UNITS:
        block = draw.permutation(np.arange(n) % MAX_BOOTSTRAP_UNITS)
        columns = np.stack([np.bincount(block, column, MAX_BOOTSTRAP_UNITS) for column in columns.T], axis=1)
    units = len(columns)
    if not units:
        return np.zeros((RESAMPLES, len(sums)))
    out = np.empty((RESAMPLES, columns.shape[1]))
    step = max(1, min(RESAMPLES, 400_000 // units))
    for i in range(0, RESAMPLES, step):
        samples = min(step, RESAMPLES - i)
        drawn = draw.integers(0, units, (samples, units), dtype=np.int32)
        drawn += np.arange(samples, dtype=np.int32)[:, None] * np.int32(units)
        counts = np.bincount(drawn.ravel(), minlength=samples * units).reshape(samples, units)
        out[i : i + samples] = counts.astype(np.float64) @ columns + sums
    return out


def student_t_quantile(df: int) -> float:
    """Return the 97.5 % quantile of Student's t with ``df`` degrees of freedom, to 0.001.

    Up to 5 from a table, then by the expansion of Abramowitz and Stegun, equation 26.7.5. SciPy's ``stdtrit`` would do
    this exactly, but nothing else in regraft needs SciPy.
    """
    table = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706}
    if df in table:
        return table[df]
    z = Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / df ** (i + 1) for i, term in enumerate(terms))
