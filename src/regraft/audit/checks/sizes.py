"""Photos that are tiny, huge or far from square: the network sees them enlarged, shrunk to mush, or hardly at all."""

from __future__ import annotations

from regraft.audit.finding import Finding
from regraft.audit.subject import Subject

TINY = 64
"""Pixels of the shorter side below which a photo shows little."""

HUGE = 40_000_000
"""Pixels above which decoding takes most of the time."""

EXTREME = 3.0
"""Ratio of the sides above which the centre that the network sees is a small part of the photo."""


def find(subject: Subject) -> list[Finding]:
    """Return a finding for each photo of an unusual size or shape."""
    findings = []
    for entry, glance in zip(subject.entries, subject.glances, strict=True):
        width, height = glance.width, glance.height
        size, measure = f"{width:,} × {height:,} pixels", {"width": width, "height": height}
        name = (entry.name,)
        if min(width, height) < TINY:
            findings.append(Finding("tiny", "warning", name, f"has only {size}", measure))
        if width * height > HUGE:
            words = f"has {size}; a smaller copy would train as well, and faster"
            findings.append(Finding("huge", "info", name, words, measure))
        if max(width, height) > EXTREME * min(width, height):
            words = f"is {size}: the network sees only its middle"
            findings.append(Finding("extreme shape", "warning", name, words, measure))
    return findings
