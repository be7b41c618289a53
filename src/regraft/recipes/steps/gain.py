"""The gain of one candidate over another as a normal distribution: a prior, a measurement, and their combination.

A gain has two parts: the share of the mistakes that disappears, and the share of the log-loss that disappears. As
shares, gains of easy and of difficult folders are comparable. Both parts are strongly correlated, and the log-loss is
measured more precisely on few photos, so that it also informs about the accuracy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959964
"""Standard deviations on both sides of the mean of a normal distribution that contain 95 %."""


@dataclass(frozen=True)
class Gain:
    """A normal distribution of the two parts of a gain.

    Attributes:
        mean: expected share of the mistakes, and of the log-loss, that disappears; shape (2,).
        covariance: their covariance, shape (2, 2).
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def updated(self, measured: Gain) -> Gain:
        """Return the distribution after a measurement, by Bayes' rule for normal distributions.

        Args:
            measured: the measured gain, with the covariance of its error.
        """
        weight = self.covariance @ np.linalg.inv(self.covariance + measured.covariance)
        mean = self.mean + weight @ (measured.mean - self.mean)
        return Gain(mean, self.covariance - weight @ self.covariance)

    def value_of_measuring(self, error: NDArray[np.float64]) -> float:
        """Return the share of the mistakes that training is expected to remove, if the better candidate is kept after.

        The mean after a measurement is normally distributed around the mean before it. Only its positive part counts,
        because without a gain the earlier candidate is kept (Raiffa and Schlaifer 1961, "Applied Statistical Decision
        Theory", chapter 5).

        Args:
            error: covariance of the error of the measurement, shape (2, 2).
        """
        moves = self.covariance @ np.linalg.inv(self.covariance + error) @ self.covariance
        return mean_of_positive_part(float(self.mean[0]), math.sqrt(max(float(moves[0, 0]), 0.0)))

    def points(self, error: float) -> tuple[float, float, float]:
        """Return the expected points of accuracy and their 95 % interval, for a candidate with this ``error``."""
        mean, half = self.accuracy, Z95 * self.accuracy_deviation
        return 100 * error * mean, 100 * error * (mean - half), 100 * error * (mean + half)

    @property
    def accuracy(self) -> float:
        """Expected share of the mistakes that disappears."""
        return float(self.mean[0])

    @property
    def accuracy_deviation(self) -> float:
        """Standard deviation of the share of the mistakes that disappears."""
        return math.sqrt(max(float(self.covariance[0, 0]), 0.0))


def normal_probability(z: float) -> float:
    """Return the probability that a standard normal variable is below ``z``."""
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def mean_of_positive_part(mean: float, deviation: float) -> float:
    """Return the expected value of ``max(x, 0)`` for a normal variable ``x``."""
    if deviation == 0:
        return max(mean, 0.0)
    z = mean / deviation
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return mean * normal_probability(z) + deviation * density
