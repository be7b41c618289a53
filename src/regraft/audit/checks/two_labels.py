"""The same picture under two labels: at least one of them is wrong, and both teach the opposite of each other."""

from __future__ import annotations

from regraft.audit.copies import joined
from regraft.audit.finding import Finding
from regraft.audit.subject import Subject


def find(subject: Subject) -> list[Finding]:
    """Return an error for each group of copies that carries more than one label."""
    copies = subject.copies
    exact = joined(len(subject.entries), [*copies.by_bytes, *copies.by_pixels])
    every = joined(len(subject.entries), [*exact, *copies.near.pairs.tolist()])
    in_exact = {i: frozenset(members) for members in exact for i in members}
    findings = []
    for members in every:
        labels = sorted({subject.entries[i].label for i in members})
        if len(labels) > 1:
            same = "the same picture" if frozenset(members) == in_exact.get(members[0]) else "nearly the same picture"
            words = f"{same} under {len(labels)} labels: {', '.join(labels)}"
            findings.append(Finding("two labels", "error", subject.names(members), words, {"classes": labels}))
    return findings
