"""`Finding`: one thing that is worth knowing about photos, labels or classes, in a form that every report can show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

Level: TypeAlias = Literal["info", "warning", "error"]

LEVELS: tuple[Level, ...] = get_args(Level)
"""From the least to the most serious."""

ACTIONABLE = (
    "two labels",
    "wrong label",
    "leak",
    "near copies",
    "same file",
    "same pixels",
    "placeholder",
    "outlier",
    "blank",
    "tiny",
)
"""Kinds of findings for which a decision (keep, drop, relabel) makes sense, in the order of a review."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: what it is, such as ``"near copies"``; findings of one kind are listed together.
        level: ``"info"``: good to know; ``"warning"``: probably costs accuracy, or flatters a figure; ``"error"``:
            makes a photo unusable, or a figure wrong.
        photos: names of the photos that it is about, the one to act on first; empty where it is about a class.
        words: one sentence for a person.
        measure: the figures behind it, of plain JSON values.
        suggestion: the class that the first photo probably belongs to, or an empty string.
    """

    kind: str
    level: Level
    photos: tuple[str, ...]
    words: str
    measure: dict[str, Any] = field(default_factory=dict)
    suggestion: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as `check.json` holds it."""
        return {
            "kind": self.kind,
            "level": self.level,
            "photos": list(self.photos),
            "words": self.words,
            "measure": self.measure,
            "suggestion": self.suggestion,
        }


def findings_at_least(level: Level, findings: list[Finding]) -> list[Finding]:
    """Return the findings that are as serious as ``level`` or more."""
    return [finding for finding in findings if LEVELS.index(finding.level) >= LEVELS.index(level)]
