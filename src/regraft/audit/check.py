"""All checks, in the order that their findings are told in."""

from __future__ import annotations

from collections.abc import Callable

from regraft.audit.checks import (
    balance,
    blank,
    class_names,
    copies,
    damage,
    extensions,
    labels,
    leaks,
    modes,
    outliers,
    placeholder,
    rotation,
    shortcuts,
    sizes,
    two_labels,
)
from regraft.audit.finding import Finding
from regraft.audit.subject import Subject

CHECKS: tuple[Callable[[Subject], list[Finding]], ...] = (
    damage.find,
    leaks.find,
    two_labels.find,
    labels.find,
    copies.find,
    class_names.find,
    balance.find,
    shortcuts.find,
    placeholder.find,
    outliers.find,
    blank.find,
    sizes.find,
    extensions.find,
    rotation.find,
    modes.find,
)


def check(subject: Subject) -> list[Finding]:
    """Return everything that the checks find."""
    return [finding for find in CHECKS for finding in find(subject)]
