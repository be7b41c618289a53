"""The agreement of the learning-rate finder with the recipe's own rate, and the reason if they differ."""

from __future__ import annotations

from dataclasses import dataclass

from regraft.training.lr_finder import LearningRateCurve

CLEAR = 0.03
"""Minimum change of the loss, as a share of the first loss; a smaller change may be noise of the batches."""

FACTOR = 5.0
"""Maximum factor between two rates that agree: the finder's suggestion varies that much from seed to seed."""


@dataclass(frozen=True)
class RateAgreement:
    """The agreement of the finder with the recipe.

    Attributes:
        agrees: whether the recipe's own rate is one that the curve supports.
        why: the reason, in words.
        highest: the highest rate at which the loss has not clearly risen; None if it rises at the lowest one.
    """

    agrees: bool
    why: str
    highest: float | None


def rate_agreement(curve: LearningRateCurve, suggestion: float | None, default: float, steps: int) -> RateAgreement:
    """Return whether the recipe's own rate agrees with the curve of the finder.

    Args:
        curve: the loss at each rate.
        suggestion: the suggested rate; None if the loss did not clearly fall.
        default: the recipe's own rate.
        steps: steps of the recipe's training.
    """
    highest = _highest_harmless(curve)
    if highest is None or default > highest:
        limit = "at the lowest rate already" if highest is None else f"above {highest:.2g}"
        why = (
            f"the loss rises {limit}, and the recipe's own rate is {default:.2g}: the finder has no warm-up, while the "
            "recipe reaches its rate after a tenth of its steps; take a lower one if val_loss jumps in the first epoch"
        )
        return RateAgreement(False, why, highest)
    if suggestion is None:
        why = (
            f"the loss is flat up to {highest:.2g}: the solved probe fits these photos, and a few steps gain nothing; "
            f"the recipe's own rate {default:.2g} is below that"
        )
        return RateAgreement(True, why, highest)
    if default * FACTOR >= suggestion:
        why = f"the recipe's own rate {default:.2g} lies where the loss falls, below {highest:.2g}, where it rises"
        return RateAgreement(True, why, highest)
    why = (
        f"the recipe's own rate {default:.2g} is {suggestion / default:.0f} times lower: it grows with the steps of a "
        f"training, and {steps:,} are too few to repair what a higher rate disturbs in the pretrained layers"
    )
    return RateAgreement(False, why, highest)


def _highest_harmless(curve: LearningRateCurve) -> float | None:
    """Return the highest rate up to which no loss is clearly above the first one."""
    limit = (1 + CLEAR) * curve.losses[0]
    harmless = None
    for rate, loss in zip(curve.rates, curve.losses, strict=True):
        if loss > limit:
            break
        harmless = rate
    return None if harmless == curve.rates[0] else harmless
