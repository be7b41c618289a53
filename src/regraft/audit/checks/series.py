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
    random, blocks = percent(effect.random), percent(effect.blocks)
    if effect.new_subjects is None:
        words = (
            f"photos taken together look alike: {random} are classified right in random folds, {blocks} where "
            f"neighbors by {effect.rule} stay together; expect the latter on new subjects (--group-by {effect.rule})"
        )
    else:
        low, high = (min(1.0, max(0.0, effect.random - loss)) for loss in reversed(effect.new_subjects.interval))
        words = (
            f"photos taken together look alike: {random} are classified right in random folds, {blocks} where "
            f"neighbors by {effect.rule} stay together; expect {100 * low:.0f} to {100 * high:.0f} % on new subjects "
            f"(--group-by {effect.rule})"
        )
    return [Finding("series", "warning", (), words, effect.as_dict())]
