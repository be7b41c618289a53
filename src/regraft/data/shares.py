"""Shares of train, validation and test as a person writes them."""

from __future__ import annotations

import math
from typing import Any


def shares(value: Any) -> tuple[float, float, float]:
    """Return shares that sum to 1 from ``"80/10/10"``, ``(80, 10, 10)`` or ``(0.8, 0.1, 0.1)``.

    Raises:
        ValueError: it is something else, or nothing is left for train.
    """
    if isinstance(value, str):
        try:
            value = [float(part) for part in value.split("/")]
        except ValueError:
            raise ValueError(f"expected train/validation/test such as 80/10/10, found {value!r}") from None
    numbers = isinstance(value, (list, tuple)) and all(isinstance(v, (int, float)) for v in value)
    if not numbers or len(value) != 3:
        raise ValueError(f"expected train/validation/test such as 80/10/10, found {value!r}")
    total = float(sum(value))
    if min(value) < 0 or value[0] <= 0 or not (math.isclose(total, 1.0) or math.isclose(total, 100.0)):
        raise ValueError(f"expected three parts of 100 with train above 0, found {'/'.join(f'{v:g}' for v in value)}")
    whole = 100.0 if total > 1.5 else 1.0
    train, validation, test = (float(v) / whole for v in value)
    return train, validation, test
