"""Readers of option values: durations, blocks, networks, addresses and callbacks, from text or from Python values.

Each raises `ValueError` with what was expected and what was found; `regraft.context.config` collects these errors.
"""

from __future__ import annotations

import math
import re
from typing import Any
from urllib.parse import urlsplit

from regraft.models.catalogue import backbone_names

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds(text: Any) -> float | None:
    """Return a duration in seconds from a number of them, or from text such as ``30s``, ``10m``, ``1.5h``, ``1h30m``.

    Raises:
        ValueError: the text is not a duration, or not above zero.
    """
    if text is None:
        return None
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        value = float(text)
    else:
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|)", str(text).strip().lower())
        if not parts or "".join(a + b for a, b in parts) != re.sub(r"\s", "", str(text).lower()):
            raise ValueError(f"expected a duration such as 30s, 10m or 2h, found {text!r}")
        value = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"expected a duration above zero, found {text!r}")
    return value


def time_budget(value: Any) -> Any:
    """Read a duration; text must have a unit, because "10" could be meant as minutes.

    Raises:
        ValueError: it is not a duration, or has no unit.
    """
    if isinstance(value, str) and re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
        number = value.strip()
        raise ValueError(f"expected a time with its unit, such as {number}s, {number}m or {number}h, found {value!r}")
    return seconds(value)


def unfrozen_blocks(value: Any) -> Any:
    """Read ``"all"``, a number of blocks from the top, or block names separated by commas."""
    if isinstance(value, str):
        text = value.strip()
        if text == "all":
            return "all"
        if re.fullmatch(r"\d+", text):
            return int(text)
        value = [name.strip() for name in text.split(",")]
    if isinstance(value, (list, tuple)) and value and all(isinstance(name, str) and name for name in value):
        return tuple(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError(f"expected all, a number of blocks from the top, or names of blocks, found {value!r}")


def backbone_name(value: Any) -> Any:
    """Read the name of a network, or several names joined by ``+``."""
    return "+".join(backbone_names(value)) if isinstance(value, str) else value


def server_address(value: Any) -> Any:
    """Read the address of a web server, without a slash at its end."""
    if value is None:
        return None
    expected = f"expected the address of a server such as http://localhost:9000, found {value!r}"
    try:
        parts = urlsplit(str(value))
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        named = False
    if not named or parts.query or parts.fragment or re.search(r"\s", str(value)):
        raise ValueError(expected)
    return str(value).rstrip("/")


def callback_names(value: Any) -> Any:
    """Read one ``module:Class``, or several."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)):
        raise ValueError(f"expected module:Class, or a list of them, found {value!r}")  # noqa: TRY004 (pydantic's way)
    for name in names:
        parts = name.split(":") if isinstance(name, str) else []
        if len(parts) != 2 or not all(word.isidentifier() for part in parts for word in part.split(".")):
            raise ValueError(f"expected module:Class such as my_callbacks:Alarm, found {name!r}")
    return tuple(names)


def callback_descriptions(value: Any) -> Any:
    """Read descriptions of callback objects, as `regraft.callbacks.user_callbacks` writes them."""
    if value is None or (isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)):
        return tuple(value) if value else None
    raise ValueError(f"expected callback objects, given to regraft.train(..., callbacks=[...]); found {value!r}")


def share_of_mistakes(value: Any) -> Any:
    """Read a share of photos, such as ``2%`` or ``0.02``.

    Raises:
        ValueError: it is not above 0 and below 50 %.
    """
    if value is None:
        return None
    text = str(value).strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 < share < 0.5:
        raise ValueError(f"expected a share of mistakes above 0 and below 50 %, such as 2% or 0.02, found {value!r}")
    return share
