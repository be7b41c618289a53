"""Duplicates, also on different sides of a split (leaks) or with different labels.

Duplicates of training photos among the test photos make accuracy look too high. Of two different labels of the same
picture, at least one is wrong.
"""

from __future__ import annotations

from regraft.audit.duplicates import connected_sets
from regraft.audit.finding import Finding
from regraft.audit.subject import Subject


def find_duplicates(subject: Subject) -> list[Finding]:
    """Return a warning for each set of duplicates; regraft keeps them on one side of a split."""
    duplicates = subject.duplicates
    findings = [
        Finding("same file", "warning", subject.names(members), f"{len(members)} files have the same bytes")
        for members in duplicates.by_bytes
    ]
    findings += [
        Finding("same pixels", "warning", subject.names(members), f"{len(members)} files have the same pixels")
        for members in duplicates.by_pixels
    ]
    fits = {
        tuple(pair): float(fit) for pair, fit in zip(duplicates.near.pairs.tolist(), duplicates.near.fit, strict=True)
    }
    group_of = {i: k for k, members in enumerate(connected_sets(len(subject.entries), list(fits))) for i in members}
    groups: dict[int, dict[tuple[int, ...], float]] = {}
    for pair, fit in fits.items():
        groups.setdefault(group_of[pair[0]], {})[pair] = fit
    for pairs in groups.values():
        members = sorted({i for pair in pairs for i in pair})
        measure = {"least_fit": round(min(pairs.values()), 3), "pairs": len(pairs)}
        words = f"{len(members)} photos show nearly the same picture"
        findings.append(Finding("near copies", "warning", subject.names(members), words, measure))
    return findings


def find_leaks(subject: Subject) -> list[Finding]:
    """Return an error for each group of duplicates on different sides of the user's split."""
    if not subject.split_given:
        return []
    findings = []
    for members in subject.duplicates.sets:
        sides = sorted({str(subject.entries[i].given_side) for i in members if subject.entries[i].given_side})
        if len(sides) > 1:
            where = " and in ".join(sides)
            words = f"the same or nearly the same picture in {where}: accuracy will look too high (see --fix-leaks)"
            ordered = sorted(members, key=lambda i: subject.entries[i].given_side != "train")
            findings.append(Finding("leak", "error", subject.names(ordered), words, {"sides": sides}))
    return findings


def leaked_train_photos(subject: Subject) -> list[str]:
    """Return the names of training photos that are duplicates of photos on another side."""
    return [
        name
        for finding in find_leaks(subject)
        for name in finding.photos
        if next(entry for entry in subject.entries if entry.name == name).given_side == "train"
    ]


def find_conflicting_labels(subject: Subject) -> list[Finding]:
    """Return an error for each group of duplicates with more than one label."""
    duplicates = subject.duplicates
    exact = connected_sets(len(subject.entries), [*duplicates.by_bytes, *duplicates.by_pixels])
    in_exact = {i: frozenset(members) for members in exact for i in members}
    findings = []
    for members in duplicates.sets:
        labels = sorted({subject.entries[i].label for i in members})
        if len(labels) > 1:
            same = "the same picture" if frozenset(members) == in_exact.get(members[0]) else "nearly the same picture"
            words = f"{same} under {len(labels)} labels: {', '.join(labels)}"
            findings.append(Finding("two labels", "error", subject.names(members), words, {"classes": labels}))
    return findings
