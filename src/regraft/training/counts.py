"""Numbers of samples, batches and epochs, as users give them."""

from __future__ import annotations

from typing import Any

from regraft.errors import TrainingError


def positive_count(name: str, given: Any) -> int | None:
    """Return a number of samples or batches as an int, also one of float type that is whole; None stays None.

    Raises:
        TrainingError: it is not a whole number of 1 or more.
    """
    if given is None:
        return None
    count = whole_number(name, given)
    if count < 1:
        raise TrainingError(f"{name} is {given!r}; expected a whole number of 1 or more")
    return count


def whole_number(name: str, given: Any) -> int:
    """Return a number as an int, also one of float type that is whole.

    Raises:
        TrainingError: it is not a whole number.
    """
    plain = given.item() if callable(getattr(given, "item", None)) else given
    if isinstance(plain, int) and not isinstance(plain, bool):
        return plain
    if isinstance(plain, float):
        if plain.is_integer():
            return int(plain)
        raise TrainingError(f"{name} is {plain:g}; expected a whole number: a // b divides without a rest")
    raise TrainingError(f"{name} is {given!r}; expected a whole number")
