"""Photos that are like no other: perhaps not of any class."""

from __future__ import annotations

import numpy as np

from regraft.audit.finding import Finding
from regraft.audit.neighbours import nearest
from regraft.audit.subject import Subject

NEIGHBOURS = 10
FAR = 2.0
"""Robust standard deviations by which a photo is farther from its neighbours than is usual; one in a thousand is."""

FEW = 30
"""With fewer photos nothing can be said of what is usual."""


def find(subject: Subject) -> list[Finding]:
    """Return an info for each photo that lies far from all others, the farthest first."""
    if len(subject.entries) < FEW:
        return []
    distance = 1 - nearest(subject.features, NEIGHBOURS).cosine.mean(axis=1)
    middle = float(np.median(distance))
    spread = 1.4826 * float(np.median(np.abs(distance - middle)))
    score = (distance - middle) / max(spread, 1e-9)
    return [
        Finding(
            "outlier", "info", subject.names([i]), "is like no other photo here", {"score": round(float(score[i]), 1)}
        )
        for i in np.argsort(-score, kind="stable").tolist()
        if score[i] > FAR
    ]
