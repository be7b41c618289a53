"""Files that cannot be read, are cut off, claim too many pixels or are no photos; all of them are put aside."""

from __future__ import annotations

import re

from regraft.audit.finding import Finding
from regraft.audit.subject import Subject
from regraft.data.manifest import Entry

_AFTER = re.compile(r"after (\d+) %")


def find(subject: Subject) -> list[Finding]:
    """Return an error for each file that claims to be a photo and cannot be used."""
    return [_finding(entry) for entry in subject.manifest.entries if entry.status == "put aside"]


def _finding(entry: Entry) -> Finding:
    found = _AFTER.search(entry.why)
    measure = {"salvageable": int(found[1]) / 100} if found else {}
    saved = f"; its upper {found[1]} % could be salvaged" if found else ""
    return Finding(_kind(entry.why), "error", (entry.name,), f"{entry.why}{saved}: put aside", measure)


def _kind(why: str) -> str:
    if why.startswith("not a photo"):
        return "not a photo"
    if why.startswith("too large"):
        return "too large"
    return "truncated" if why.startswith("truncated") else "unreadable"
