"""Findings about the photos, and the check page if there is one next to the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from regraft.context.commands import check_command
from regraft.report.elements import command_line, details, section
from regraft.report.page import name, text
from regraft.report.run_data import READ_ERRORS, RunData
from regraft.text import counted

MAX_NAMED = 50


def findings(run: RunData) -> str:
    """Return problems of the photos: those that the run met, and those of ``check.json`` in the run folder."""
    if not run.photos.entries:
        return ""
    items = [*_copies(run), *_unusable(run)]
    checked = _check(run)
    more = ""
    if not checked and run.config.get("photos"):
        command = check_command(dict(run.config), "-o", run.path)
        more = command_line(command, "Look for wrong labels, near-copies and damaged files, and decide about them:")
    shown = "".join(f"<li>{one}</li>" for one in items)
    return section("findings", "The photos themselves", f"<ul>{shown}</ul>" if shown else "", checked, more)


def _copies(run: RunData) -> list[str]:
    events = [event for event in run.events if event.get("event") == "copies"]
    if not events:
        return []
    event = events[-1]
    parts = [
        counted(int(event[key]), *titles)
        for key, *titles in (
            ("files", "equal file"),
            ("pixels", "equal picture"),
            ("near_copies", "near-copy", "near-copies"),
        )
        if event.get(key)
    ]
    if not parts:
        return ["No photo is a copy of another one."]
    groups = counted(int(event.get("groups", 0)), "group")
    return [f"Copies: {', '.join(parts)}, in {groups}. Photos of a group were kept on one side of the split."]


def _unusable(run: RunData) -> list[str]:
    aside = [entry for entry in run.photos.entries if entry.status == "put aside"]
    if not aside:
        return []
    names = "".join(f"<li>{name(entry.name)}: {text(entry.why)}</li>" for entry in aside[:MAX_NAMED])
    rest = f"<li>and {len(aside) - MAX_NAMED:,} more, see manifest.csv</li>" if len(aside) > MAX_NAMED else ""
    return [details(f"{counted(len(aside), 'file')} could not be used", f"<ul>{names}{rest}</ul>")]


def _check(run: RunData) -> str:
    """Return the findings of a check whose files lie in the run folder."""
    try:
        check: Mapping[str, Any] = json.loads((run.path / "check.json").read_text(encoding="utf-8"))
        counts = {level: int(n) for level, n in check["counts"].items() if n}
    except READ_ERRORS:
        return ""
    parts = [counted(n, level, "info" if level == "info" else None) for level, n in counts.items()]
    link = '<a href="check.html">check.html</a>' if (run.path / "check.html").exists() else "check.json"
    return f"<p>The check found {', '.join(parts) or 'no problems'}: see {link} next to this file.</p>"
