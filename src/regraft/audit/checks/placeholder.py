"""Files that stand in for a photo which is gone: "image not found" and the like, drawn rather than photographed."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from regraft.audit.checks.blank import BLANK
from regraft.audit.finding import Finding
from regraft.audit.subject import Subject

ONE_COLOUR = 0.88
"""Share of a photo within two levels of its most common grey from which it is hardly a photograph."""

_NAMES = re.compile(r"not[ _-]?found|no[ _-]?(image|photo|picture)|placeholder|unavailable", re.IGNORECASE)


def find(subject: Subject) -> list[Finding]:
    """Return a warning for each photo that is nearly all of one colour, or called as placeholders are."""
    findings = []
    for entry, glance in zip(subject.entries, subject.glances, strict=True):
        share = one_colour(glance.grey)
        named = _NAMES.search(PurePosixPath(entry.name).name) is not None
        if named or (share >= ONE_COLOUR and glance.grey.std() >= BLANK):
            why = f"{100 * share:.0f} % of it is one colour" if share >= ONE_COLOUR else "its name says so"
            words = f"may be a placeholder or a drawing: {why}"
            findings.append(Finding("placeholder", "warning", (entry.name,), words, {"one_colour": round(share, 3)}))
    return findings


def one_colour(grey: NDArray[np.uint8]) -> float:
    """Return the share of pixels within two levels of the most common one: (64, 64), uint8 -> [0, 1]."""
    counts = np.bincount(grey.ravel(), minlength=256)
    return float(np.convolve(counts, np.ones(5), mode="same").max() / grey.size)
