"""Classes that are too small to learn from or to test on, and classes of very different sizes.

Names of classes that are one name to a person: the same but for case, surrounding spaces or Unicode's form.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict

from regraft.audit.finding import Finding, Level
from regraft.audit.subject import Subject

MIN_TO_LEARN = 10
"""Different pictures below which a class is hardly learnt."""

MIN_TO_TEST = 20
"""Different pictures below which the accuracy of a class can hardly be told."""

MAX_IMBALANCE = 10.0
"""Times by which the largest class may exceed the smallest."""


def find_imbalance(subject: Subject) -> list[Finding]:
    """Return a warning for each class that is too small, and one where the classes are uneven; copies count once."""
    pictures: dict[str, set[str]] = defaultdict(set)
    for entry, group in zip(subject.entries, subject.groups, strict=True):
        pictures[entry.label].add(group)
    counts = {name: len(pictures[name]) for name in subject.manifest.classes}
    findings = [_small(name, n) for name, n in counts.items() if n < MIN_TO_TEST]
    largest, smallest = (pick(counts, key=lambda name: counts[name]) for pick in (max, min))
    if counts[largest] >= MAX_IMBALANCE * counts[smallest]:
        words = (
            f"class {largest!r} has {counts[largest]:,} pictures, {smallest!r} has {counts[smallest]:,}; "
            "--class-weight balanced makes them count the same"
        )
        findings.append(Finding("uneven classes", "warning", (), words, {"pictures": counts}))
    return findings


def _small(name: str, n: int) -> Finding:
    pictures = "1 picture" if n == 1 else f"{n} different pictures"
    what = "hardly learn from" if n < MIN_TO_LEARN else "hardly test on"
    level: Level = "warning" if n < MIN_TO_LEARN else "info"
    return Finding("small class", level, (), f"class {name!r} has {pictures}: one can {what} so few",
                   {"class": name, "pictures": n})  # fmt: skip


def find_similar_class_names(subject: Subject) -> list[Finding]:
    """Return a warning for each set of class names that look alike."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(subject.class_names):
        alike[_comparable(name)].append(name)
    return [
        Finding(
            "class names alike",
            "warning",
            (),
            f"classes {' and '.join(repr(name) for name in names)} differ only in case, spaces or Unicode's form",
            {"classes": names},
        )
        for names in alike.values()
        if len(names) > 1
    ]


def _comparable(name: str) -> str:
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return " ".join(folded.split())
