"""The share of the fine-tuned network in a mix with the linear probe."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regraft.measure.metrics import log_losses
from regraft.recipes.steps.mixing import SHARES, mixing_share, usual_share


def probabilities(rng: np.random.Generator, labels: NDArray[np.int64], strength: float) -> NDArray[np.float64]:
    """Return probabilities (n, 3) that favor the true class by ``strength`` nats, with noise."""
    logits = rng.standard_normal((len(labels), 3))
    logits[np.arange(len(labels)), labels] += strength
    exponents = np.exp(logits)
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def drawn(n: int, first: float, second: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(n)
    labels = rng.integers(0, 3, n)
    return probabilities(rng, labels, first), probabilities(rng, labels, second), labels


def test_few_photos_do_not_move_the_share_far_and_many_choose_the_best() -> None:
    few, many = mixing_share(*drawn(20, 0.5, 4.0), 100), mixing_share(*drawn(20_000, 0.5, 4.0), 100)
    assert abs(few - usual_share(100)) <= 0.1
    assert many == max(SHARES)


def test_with_many_photos_the_share_has_the_lowest_log_loss() -> None:
    probe, tuned, labels = drawn(50_000, 1.7, 1.8)
    losses = {share: log_losses((1 - share) * probe + share * tuned, labels).mean() for share in SHARES}
    chosen = mixing_share(probe, tuned, labels, 100)
    assert min(SHARES) < chosen < max(SHARES)
    assert losses[chosen] <= min(losses.values()) + 1e-3


def test_the_weaker_network_gets_the_smaller_share() -> None:
    assert mixing_share(*drawn(2_000, 1.0, 2.5), 100) > usual_share(100) > mixing_share(*drawn(2_000, 2.5, 1.0), 100)


def test_the_usual_share_of_the_network_grows_with_the_photos_that_it_was_trained_on() -> None:
    shares = [usual_share(photos) for photos in (1, 40, 150, 3000, 10**9)]
    assert shares == sorted(shares)
    assert shares[1] == 0.4
    assert {shares[0], shares[-1]} == {min(SHARES), max(SHARES)}
