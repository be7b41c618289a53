"""Names of classes: compared in Unicode's composed form (NFC), shown as written."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


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
