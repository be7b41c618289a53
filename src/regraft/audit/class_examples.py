"""One typical photo of each class, to compare doubtful photos with."""

from __future__ import annotations

from collections.abc import Iterable

from regraft.audit.finding import Finding
from regraft.audit.subject import Subject


def class_examples(subject: Subject, findings: Iterable[Finding]) -> dict[str, str]:
    """Return for each class the photo that is most probably of it, by its name; photos with findings come last."""
    questioned = {name for finding in findings for name in finding.photos}
    best: dict[str, tuple[tuple[bool, float], str]] = {}
    for row, (entry, label) in enumerate(zip(subject.entries, subject.labels.tolist(), strict=True)):
        probability = 0.0 if subject.probabilities is None else float(subject.probabilities[row, label])
        rank = (entry.name not in questioned, probability)
        if entry.label not in best or rank > best[entry.label][0]:
            best[entry.label] = (rank, entry.name)
    return {label: name for label, (_, name) in sorted(best.items())}
