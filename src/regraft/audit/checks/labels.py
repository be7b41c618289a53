"""Labels that are probably wrong, ranked: photos that a probe which has not seen them is sure belong elsewhere.

Which photos are named is decided as in confident learning (Northcutt, Jiang and Chuang 2021,
https://doi.org/10.1613/jair.1.12125): a photo is suspect where another class is as likely as it is, on average, for
photos of that class. How they are ranked is by how much likelier that class is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regraft.audit.finding import Finding, Level
from regraft.audit.subject import Subject

MIN_WARNING_PROBABILITY = 0.95
"""Probability of the label being wrong from which it is a warning; below it, worth a look."""


def find_suspect_labels(subject: Subject) -> list[Finding]:
    """Return the suspect labels, the most suspect first."""
    p, y = subject.probabilities, subject.labels
    if p is None:
        return []
    classes = subject.manifest.classes
    findings = []
    for i in suspect_rows(p, y):
        best, given = int(p[i].argmax()), int(y[i])
        words = f"labelled {classes[given]}, looks like {classes[best]} ({100 * p[i, best]:.0f} %)"
        measure = {"label": classes[given], "probability_of_label": round(float(p[i, given]), 4),
                   "probability": round(float(p[i, best]), 4)}  # fmt: skip
        level: Level = "warning" if p[i, given] < 1 - MIN_WARNING_PROBABILITY else "info"
        findings.append(Finding("wrong label", level, subject.names([i]), words, measure, classes[best]))
    return findings


def rank_by_suspicion(p: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all rows, the most suspect label first.

    Args:
        p: out-of-fold probabilities, shape (n, k).
        y: labels, shape (n,).
    """
    rows = np.arange(len(y))
    logs = np.log(np.clip(p, 1e-12, 1))
    given = logs[rows, y]
    others = logs.copy()
    others[rows, y] = -np.inf
    return np.argsort(given - others.max(axis=1), kind="stable")


def suspect_rows(p: NDArray[np.float64], y: NDArray[np.int64]) -> list[int]:
    """Return the rows whose labels are probably wrong, the most suspect first."""
    usual = np.array([p[y == c, c].mean() if (y == c).any() else 1.0 for c in range(p.shape[1])])
    best = p.argmax(axis=1)
    wrong = (best != y) & (p[np.arange(len(y)), best] >= usual[best])
    return [int(i) for i in rank_by_suspicion(p, y) if wrong[i]]
