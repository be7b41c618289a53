"""Numbers that a lesson states, compared with what a cell has computed."""

from __future__ import annotations

import os

OWN = ("PHOTOS", "NETWORK")
"""Variables with which a reader runs a lesson on other photos, or with another network."""


def stated(value: float, low: float, high: float) -> float:
    """Print ``value`` with the interval that the lesson states for it, and return it.

    With photos or a network of the reader's own, the value may be outside: comparing them is the point.

    Args:
        value: the value that a cell has computed.
        low: lowest value that the lesson states.
        high: highest value.

    Raises:
        AssertionError: the value is outside, on the lesson's own photos and network.

    Example:
        >>> from regraft.lessons.stated import stated
        >>> accuracy = stated(93.4, 90, 97)
        93.4   (90 … 97)
    """
    inside = low <= value <= high
    print(f"{value:.4g}   ({low:g} … {high:g}){'' if inside else '   ≠'}")
    if not inside and not any(os.environ.get(name) for name in OWN):
        raise AssertionError(f"the lesson states a number between {low:g} and {high:g}, found {value:.6g}")
    return value
