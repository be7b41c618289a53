"""Classes that are too small or of very different sizes, and class names that are almost equal."""

from __future__ import annotations

import unicodedata
from collections import defaultdict

from regraft.audit.finding import Finding, Level
from regraft.audit.subject import Subject
from regraft.text import counted

MIN_TO_LEARN = 10
"""Minimum number of different pictures to learn a class."""

MIN_TO_TEST = 20
"""Minimum number of different pictures to measure the accuracy of a class."""

MAX_IMBALANCE = 10.0
"""Maximum ratio of the largest class to the smallest."""


def find_imbalance(subject: Subject) -> list[Finding]:
    """Return a warning for each class that is too small, and one if the classes are uneven; duplicates count once."""
    pictures: dict[str, set[str]] = defaultdict(set)
    for entry, group in zip(subject.entries, subject.groups, strict=True):
        pictures[entry.label].add(group)
    counts = {name: len(pictures[name]) for name in subject.manifest.classes}
    findings = [_small(name, n) for name, n in counts.items() if n < MIN_TO_TEST]
    largest, smallest = (pick(counts, key=lambda name: counts[name]) for pick in (max, min))
    if counts[largest] >= MAX_IMBALANCE * counts[smallest]:
        words = (
            f"class {largest!r} has {counts[largest]:,} pictures, {smallest!r} has {counts[smallest]:,}; "
            "--class-weight balanced gives them equal weight"
        )
        findings.append(Finding("uneven classes", "warning", (), words, {"pictures": counts}))
    return findings


def _small(name: str, n: int) -> Finding:
    purpose = "training" if n < MIN_TO_LEARN else "testing"
    level: Level = "warning" if n < MIN_TO_LEARN else "info"
    words = f"class {name!r} has {counted(n, 'different picture')}: too few for {purpose}"
    return Finding("small class", level, (), words, {"class": name, "pictures": n})


def find_similar_class_names(subject: Subject) -> list[Finding]:
    """Return a warning for each set of class names that differ only in case, spaces or Unicode."""
    similar: dict[str, list[str]] = defaultdict(list)
    for name in sorted(subject.class_names):
        similar[_comparable(name)].append(name)
    return [
        Finding(
            "class names alike",
            "warning",
            (),
            f"classes {' and '.join(repr(name) for name in names)} differ only in case, spaces or Unicode",
            {"classes": names},
        )
        for names in similar.values()
        if len(names) > 1
    ]


def _comparable(name: str) -> str:
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return " ".join(folded.split())
