"""The findings of a check as a person reads them in the terminal: one table, the most serious first."""

from __future__ import annotations

from typing import Any

from regraft.screen import Screen
from regraft.text import columns, counted, percent

_FIRST = 2
"""Photos named in a row of the table."""


def show_check(found: dict[str, Any], screen: Screen) -> None:
    """Say what a check found: photos, a table of the kinds of findings, and the first wrong labels."""
    files, classes = found["files"], found["classes"]
    parts = [counted(files.get("ok", 0), "photo"), counted(len(classes), "class", "classes")]
    if files.get("put aside"):
        parts.append(f"{files['put aside']:,} cannot be used")
    screen.line("photos", " · ".join(parts), found["photos"])
    if found["accuracy"] is not None:
        screen.line("probe", f"{percent(found['accuracy'])} out of fold", "labels are doubted by it")
    if not found["findings"]:
        screen.line("found", "nothing to complain about", strong=True)
        return
    rows = [("level", "what", "n", "for example")]
    for (level, kind), findings in by_kind(found).items():
        rows.append((level, kind, f"{len(findings):,}", _example(findings[0])))
    for k, line in enumerate(columns(rows, right=(2,))):
        screen.line("found" if k == 0 else "", line)


def by_kind(found: dict[str, Any]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the findings by (level, kind), the most serious level first, in the order they were found in."""
    order = {"error": 0, "warning": 1, "info": 2}
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for finding in sorted(found["findings"], key=lambda finding: order[finding["level"]]):
        kinds.setdefault((finding["level"], finding["kind"]), []).append(finding)
    return kinds


def _example(finding: dict[str, Any]) -> str:
    names = finding["photos"][:_FIRST]
    more = f" + {len(finding['photos']) - _FIRST}" if len(finding["photos"]) > _FIRST else ""
    return f"{', '.join(names)}{more}: {finding['words']}" if names else str(finding["words"])
