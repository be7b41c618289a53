"""The figures in the body of a post: Keras's form field with JSON, plain JSON, or plain form fields."""

from __future__ import annotations

import math
import urllib.parse
from typing import Any

from regraft.monitor.regular_file import parse_json

MAX_FIELDS = 200
"""Maximum number of figures in a post."""

_MAX_TEXT = 200


class BodyError(ValueError):
    """The body of a post has no figures that can be kept; the message is the answer to its sender."""


def figures_in(body: bytes) -> dict[str, float | str]:
    """Return the figures and short texts in a body.

    Keras's `RemoteMonitor` posts a form whose field, ``data`` or any other, is JSON; with ``send_as_json`` the body is
    JSON. A form such as ``epoch=3&loss=0.5`` is accepted too. Numbers may be texts; an undefined number becomes
    ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``, which JSON can hold.

    Raises:
        BodyError: the body is neither, or has no figures, or too many.
    """
    values = _json_object(body) if body.lstrip()[:1] == b"{" else _form_object(body)
    if len(values) > MAX_FIELDS:
        raise BodyError(f"the body has {len(values):,} fields; expected at most {MAX_FIELDS}")
    figures = {
        str(name)[:_MAX_TEXT]: figure for name, value in values.items() if (figure := _figure(value)) is not None
    }
    if not any(name != "epoch" and is_figure(figure) for name, figure in figures.items()):
        raise BodyError(
            'the body has no figures; expected JSON such as {"epoch": 0, "loss": 0.5}, or a form field of it'
        )
    return figures


def is_figure(value: Any) -> bool:
    """Return whether a value is a figure, which may be undefined, and not some other text."""
    return not isinstance(value, str) or value in ("NaN", "Infinity", "-Infinity")


def _json_object(data: bytes | str) -> dict[str, Any]:
    try:
        value = parse_json(data)
    except ValueError:
        raise BodyError("the body begins like JSON, but is not JSON") from None
    if not isinstance(value, dict):
        raise BodyError('the body is JSON, but not an object; expected such as {"epoch": 0, "loss": 0.5}')
    return value


def _form_object(body: bytes) -> dict[str, Any]:
    try:
        fields = urllib.parse.parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, strict_parsing=True, max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise BodyError("the body is neither JSON nor a form; Keras's RemoteMonitor posts both") from None
    in_json = [value for _, value in fields if value.lstrip()[:1] == "{"]
    return _json_object(in_json[0]) if in_json else dict(fields)


def _figure(value: Any) -> float | str | None:
    """Return a number or a short text; None for a value of another kind."""
    while isinstance(value, list) and len(value) == 1:
        (value,) = value
    if value is None:
        return "NaN"
    if not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return value[:_MAX_TEXT] if isinstance(value, str) else None
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
