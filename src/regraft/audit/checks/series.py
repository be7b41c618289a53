"""Photos in series: the accuracy in random folds is clearly higher than in blocks of photos taken together."""

from __future__ import annotations

from regraft.audit.finding import Finding
from regraft.audit.series import clearest
from regraft.audit.subject import Subject
from regraft.text import percent


def find_series(subject: Subject) -> list[Finding]:
    """Return a warning if accuracy falls clearly where photos that were taken together are kept together."""
    effect = clearest(subject.series)
    if effect is None:
        return []
    words = (
        f"photos taken together look alike: {percent(effect.random)} are classified right in random folds, "
        f"{percent(effect.blocks)} where neighbors by {effect.rule} stay together; expect the latter on new subjects "
        f"(--group-by {effect.rule})"
    )
    return [Finding("series", "warning", (), words, effect.as_dict())]
