"""Cells of tables as text, and names of columns in one spelling."""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from typing import Any


def cell_text(value: Any) -> str:
    """Return a cell as text: whole numbers without ``.0``, dates as ISO 8601, and nothing for missing values."""
    if isinstance(value, str):
        return value
    if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):  # noqa: PLR0124 (NaN)
        return ""
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return str(int(value))
    return str(value)


def column_key(name: str) -> str:
    """Return the name of a column in one spelling: ``File Name``, ``file_name`` and ``FILENAME`` are equal."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    plain = "".join(c for c in text if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", re.sub(r"[\s_\-.\"']+", "", plain))
