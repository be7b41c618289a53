"""Copies that lie on two sides of a given split: what is tested was learnt."""

from __future__ import annotations

from regraft.audit.copies import joined
from regraft.audit.finding import Finding
from regraft.audit.subject import Subject


def find(subject: Subject) -> list[Finding]:
    """Return an error for each group of copies that a given split has torn apart."""
    if not subject.given:
        return []
    copies = subject.copies
    findings = []
    for members in joined(len(subject.entries), [*copies.by_bytes, *copies.by_pixels, *copies.near.pairs.tolist()]):
        sides = sorted({str(subject.entries[i].given) for i in members if subject.entries[i].given})
        if len(sides) > 1:
            words = f"the same picture, or nearly, in {' and in '.join(sides)}: figures will flatter (--fix-leaks)"
            ordered = sorted(members, key=lambda i: subject.entries[i].given != "train")
            findings.append(Finding("leak", "error", subject.names(ordered), words, {"sides": sides}))
    return findings


def train_side(subject: Subject) -> list[str]:
    """Return the names of train photos that are copies of photos on another side."""
    return [
        name
        for finding in find(subject)
        for name in finding.photos
        if next(entry for entry in subject.entries if entry.name == name).given == "train"
    ]
