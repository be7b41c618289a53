"""Extrapolation of a learning curve: what more training photos of a class are expected to gain.

Mistakes fall with the number of training photos n about as n to the power of -b (Hestness et al. 2017, "Deep learning
scaling is predictable, empirically", https://arxiv.org/abs/1712.00409). One b is fitted to all classes, because a
single class has too few photos to tell its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.measure.intervals import Interval, bootstrap_sums
from regraft.randomness import generator

DRAWS = 2000
MORE = 50
"""Photos more of one class whose gain is estimated."""


@dataclass(frozen=True)
class ExpectedGain:
    """The rise of a class's recall with `MORE` training photos of it.

    Attributes:
        value: mean, in [0, 1].
        interval: 95 % interval.
        n: measured photos of the class.
    """

    value: float
    interval: Interval
    n: int


def expected_gains(
    right: NDArray[np.bool_], y: NDArray[np.int64], shares: Sequence[float], training: Sequence[int]
) -> list[ExpectedGain | None]:
    """Return the expected gain of each class; None for a class without a measured photo.

    Args:
        right: whether each photo was predicted right after training on each share, shape (n, len(shares)).
        y: class of each photo, shape (n,).
        shares: shares of the training photos, rising, the last one is 1.
        training: training photos of each class, shape (k,).
    """
    exponent = _exponents(right, shares)
    wrong = ~right[:, -1]
    out: list[ExpectedGain | None] = []
    for label, photos in enumerate(training):
        of_class = y == label
        n, mistakes = int(of_class.sum()), int(wrong[of_class].sum())
        if not n or not photos:
            out.append(None)
            continue
        draw = generator("expected gain", label, n, mistakes)
        error = draw.beta(mistakes + 0.5, n - mistakes + 0.5, DRAWS)  # Jeffreys's posterior
        gain = error * (1 - (photos / (photos + MORE)) ** exponent)
        low, high = np.quantile(gain, [0.025, 0.975])
        out.append(ExpectedGain(float(gain.mean()), (float(low), float(high)), n))
    return out


def _exponents(right: NDArray[np.bool_], shares: Sequence[float]) -> NDArray[np.float64]:
    """Return draws of the exponent b in [0, 1], shape (DRAWS,): a line through the bootstrapped mistakes, log-log."""
    samples = np.clip(bootstrap_sums((~right).astype(np.float64), "learning curve", len(right)), 0, None)
    x = np.log(np.asarray(shares, dtype=np.float64))
    x -= x.mean()
    slopes = np.log(samples + 0.5) @ x / (x @ x)
    pick = generator("exponents", len(right)).integers(0, len(slopes), DRAWS)
    exponents: NDArray[np.float64] = np.clip(-slopes[pick], 0.0, 1.0)
    return exponents
