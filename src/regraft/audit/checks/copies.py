"""Copies: files of the same bytes, of the same pixels, and photos that show nearly the same picture, in groups."""

from __future__ import annotations

from regraft.audit.copies import joined
from regraft.audit.finding import Finding
from regraft.audit.subject import Subject


def find(subject: Subject) -> list[Finding]:
    """Return a warning for each set of copies; regraft keeps them on one side of a split."""
    copies = subject.copies
    findings = [
        Finding("same file", "warning", subject.names(members), f"{len(members)} files hold the same bytes")
        for members in copies.by_bytes
    ]
    findings += [
        Finding("same pixels", "warning", subject.names(members), f"{len(members)} files show the same pixels")
        for members in copies.by_pixels
    ]
    fits = {tuple(pair): float(fit) for pair, fit in zip(copies.near.pairs.tolist(), copies.near.fit, strict=True)}
    group_of = {i: k for k, members in enumerate(joined(len(subject.entries), list(fits))) for i in members}
    groups: dict[int, dict[tuple[int, ...], float]] = {}
    for pair, fit in fits.items():
        groups.setdefault(group_of[pair[0]], {})[pair] = fit
    for pairs in groups.values():
        members = sorted({i for pair in pairs for i in pair})
        measure = {"least_fit": round(min(pairs.values()), 3), "pairs": len(pairs)}
        words = f"{len(members)} photos show nearly the same picture"
        findings.append(Finding("near copies", "warning", subject.names(members), words, measure))
    return findings
