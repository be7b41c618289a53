"""Names of classes that are one name to a person: the same but for case, surrounding spaces or Unicode's form."""

from __future__ import annotations

import unicodedata
from collections import defaultdict

from regraft.audit.finding import Finding
from regraft.audit.subject import Subject


def find(subject: Subject) -> list[Finding]:
    """Return a warning for each set of class names that look alike."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(subject.class_names):
        alike[_plain(name)].append(name)
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


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return " ".join(folded.split())
