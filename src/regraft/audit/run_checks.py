"""All checks, in the order of their findings in reports."""

from __future__ import annotations

from collections.abc import Callable

from regraft.audit.checks import bias, classes, duplicates, files, labels, series
from regraft.audit.finding import Finding
from regraft.audit.subject import Subject

CHECKS: tuple[Callable[[Subject], list[Finding]], ...] = (
    files.find_damaged,
    duplicates.find_leaks,
    duplicates.find_conflicting_labels,
    series.find_series,
    labels.find_suspect_labels,
    duplicates.find_duplicates,
    classes.find_similar_class_names,
    classes.find_imbalance,
    bias.find_shortcuts,
    files.find_placeholders,
    bias.find_outliers,
    files.find_blank,
    files.find_odd_sizes,
    files.find_wrong_extensions,
    files.find_exif_rotated,
    files.find_mixed_modes,
)


def run_checks(subject: Subject) -> list[Finding]:
    """Return the findings of all checks."""
    return [finding for find in CHECKS for finding in find(subject)]
