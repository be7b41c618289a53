"""Labels that consist of other labels, such as ``cat,dog`` next to ``cat`` and ``dog``: probably several per photo."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_SEPARATOR: Final = re.compile(r"\s*[,;|/+&]\s*|\s+")
_LIST: Final = re.compile(r"[|;]")


def combined_label_notes(labels: Iterable[str]) -> list[str]:
    """Return a note if some labels consist of other ones, which a separator or a space divides."""
    known = set(labels)
    combined = sorted(label for label in known if _parts(label) <= known and len(_parts(label)) > 1)
    if not combined:
        return _notes_on_lists(known)
    first, parts = combined[0], " and ".join(map(repr, sorted(_parts(combined[0]))))
    if len(combined) == 1:
        return [
            f"label {first!r} consists of the labels {parts}: a class of its own, because a photo has one class here"
        ]
    count = len(combined)
    return [
        f"{count:,} labels consist of others, such as {first!r} of {parts}: each is a class, as a photo has one here"
    ]


def _notes_on_lists(known: set[str]) -> list[str]:
    """Return a note if a label is a list with ``|`` or ``;`` that has another label: ``ant|leaf`` next to ``ant``."""
    lists = {label: [part.strip() for part in _LIST.split(label)] for label in sorted(known) if _LIST.search(label)}
    for label, parts in lists.items():
        part = next((part for part in parts if part in known), None)
        if part is not None:
            return [
                f"label {label!r} contains the label {part!r}: a class of its own, because a photo has one class here"
            ]
    return []


def _parts(label: str) -> set[str]:
    return {part for part in _SEPARATOR.split(label.strip()) if part}
