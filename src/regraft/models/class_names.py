"""Names of classes as a person gives them: a sequence of different texts, in the order of the outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from regraft.errors import ConfigError


def class_names(given: Any) -> tuple[str, ...]:
    """Return the names of two or more classes.

    Args:
        given: a list, a tuple or an array of texts.

    Raises:
        ConfigError: it is something else; a mapping or a set has no order that outputs could follow.
    """
    expected = "expected the names of the classes in the order of the outputs, such as ['ant', 'bee']"
    if isinstance(given, Mapping):
        raise ConfigError(
            f"classes: {expected}, found a {type(given).__name__}; of {{name: index}}, sorted(d, key=d.get)"
        )
    if isinstance(given, (str, bytes, AbstractSet)) or not isinstance(given, Iterable):
        raise ConfigError(f"classes: {expected}, found {given!r}")
    values = list(given)
    others = [value for value in values if not isinstance(value, str)]
    if others:
        raise ConfigError(f"classes: {expected}, found {others[0]!r}, a {type(others[0]).__name__}")
    names = tuple(str(value) for value in values)
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if len(names) < 2 or repeated:
        twice = f"; {', '.join(map(repr, repeated[:5]))} is there twice" if repeated else ""
        raise ConfigError(f"a classifier needs two or more different classes, not {list(names)}{twice}")
    return names
