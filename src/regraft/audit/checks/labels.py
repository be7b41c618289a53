"""Suspicious labels: photos for which out-of-fold probabilities contradict the label, the most suspicious first.

The selection is that of confident learning (Northcutt, Jiang and Chuang 2021, https://doi.org/10.1613/jair.1.12125): a
label is suspicious if another class has at least the average probability that photos of that class have for it. The
order is by the ratio of the probabilities of the two classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regraft.audit.finding import Finding, Level
from regraft.audit.subject import Subject

MIN_WARNING_PROBABILITY = 0.95
"""Minimum probability of a wrong label for a warning; below it, the finding is an info."""


def find_suspect_labels(subject: Subject) -> list[Finding]:
    """Return a finding for each suspicious label, the most suspicious first."""
    p, y = subject.probabilities, subject.labels
    if p is None:
        return []
    classes = subject.manifest.classes
    findings = []
    for i in suspect_rows(p, y):
        best, label = int(p[i].argmax()), int(y[i])
        words = f"labeled {classes[label]}, looks like {classes[best]} ({100 * p[i, best]:.0f} %)"
        measure = {"label": classes[label], "probability_of_label": round(float(p[i, label]), 4),
                   "probability": round(float(p[i, best]), 4)}  # fmt: skip
        level: Level = "warning" if p[i, label] < 1 - MIN_WARNING_PROBABILITY else "info"
        findings.append(Finding("wrong label", level, subject.names([i]), words, measure, classes[best]))
    return findings


def rank_by_suspicion(p: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all rows, the most suspicious label first, shape (n,), int64.

    Args:
        p: out-of-fold probabilities, shape (n, k).
        y: labels, shape (n,).
    """
    rows = np.arange(len(y))
    logs = np.log(np.clip(p, 1e-12, 1))
    of_label = logs[rows, y]
    others = logs.copy()
    others[rows, y] = -np.inf
    return np.argsort(of_label - others.max(axis=1), kind="stable")


def suspect_rows(p: NDArray[np.float64], y: NDArray[np.int64]) -> list[int]:
    """Return the rows with suspicious labels, the most suspicious first."""
    usual = np.array([p[y == c, c].mean() if (y == c).any() else 1.0 for c in range(p.shape[1])])
    best = p.argmax(axis=1)
    wrong = (best != y) & (p[np.arange(len(y)), best] >= usual[best])
    return [int(i) for i in rank_by_suspicion(p, y) if wrong[i]]
