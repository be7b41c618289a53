"""`Finding`: one result of a check of photos, labels or classes, in the form of all reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

Level: TypeAlias = Literal["info", "warning", "error"]

LEVELS: tuple[Level, ...] = get_args(Level)
"""Levels, the least serious first."""

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
    "truncated",
    "unreadable",
    "not a photo",
    "too large",
)
"""Kinds of findings for which a decision (keep, drop, relabel) makes sense, in the order of a review."""


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    Attributes:
        kind: kind of finding, such as ``"near copies"``; findings of a kind are listed together.
        level: ``"info"``: good to know; ``"warning"``: probably reduces accuracy, or makes it look too high;
            ``"error"``: makes a photo unusable, or a result wrong.
        photos: names of its photos, the one to act on first; empty if the finding is about a class.
        words: one sentence for the user.
        measure: the values behind it, as JSON values.
        suggestion: the probable class of the first photo, or an empty string.
    """

    kind: str
    level: Level
    photos: tuple[str, ...]
    words: str
    measure: dict[str, Any] = field(default_factory=dict)
    suggestion: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON values for ``check.json``."""
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
