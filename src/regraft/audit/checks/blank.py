"""Photos that show nothing: one colour all over."""

from __future__ import annotations

from regraft.audit.finding import Finding
from regraft.audit.subject import Subject

BLANK = 2.0
"""Standard deviation of the grey levels, of 256, below which a photo shows nothing."""


def find(subject: Subject) -> list[Finding]:
    """Return a warning for each blank photo."""
    findings = []
    for entry, glance in zip(subject.entries, subject.glances, strict=True):
        spread = float(glance.grey.std())
        if spread < BLANK:
            level = float(glance.grey.mean())
            colour = "black" if level < 16 else "white" if level > 239 else "one colour"
            words = f"is {colour} all over: it shows nothing"
            findings.append(Finding("blank", "warning", (entry.name,), words, {"spread": round(spread, 2)}))
    return findings
