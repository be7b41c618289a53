"""Names of classes: compared in Unicode's composed form (NFC), shown as written."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from regraft.errors import ConfigError


def same(label: str) -> str:
    """Return what two spellings of one label have in common: macOS and Linux write ``é`` with different code points."""
    return unicodedata.normalize("NFC", label)


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels in the order of a classifier's outputs: by code point of their composed form."""
    return tuple(sorted(set(labels), key=lambda label: (same(label), label)))


def one_spelling(labels: Iterable[str]) -> dict[str, str]:
    """Return for each spelling the one that stands for its class: the first in order of code points."""
    chosen: dict[str, str] = {}
    spellings = sorted(set(labels))
    for label in spellings:
        chosen.setdefault(same(label), label)
    return {label: chosen[same(label)] for label in spellings}


def case_notes(labels: Iterable[str]) -> list[str]:
    """Return what is worth saying of classes whose names differ in nothing but case or the space around them."""
    alike: dict[str, list[str]] = {}
    for label in sorted(labels):
        alike.setdefault(same(label).casefold().strip(), []).append(label)
    return [
        f"classes {' and '.join(repr(label) for label in group)} differ only in case or spaces; they are kept apart"
        for group in alike.values()
        if len(group) > 1
    ]


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
