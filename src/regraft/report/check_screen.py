"""The findings of a check on the terminal: one table, the most serious first."""

from __future__ import annotations

from typing import Any

from regraft.screen import Screen
from regraft.text import counted, percent

_EXAMPLES = 2
"""Photos named in a row of the table."""


def show_check(check: dict[str, Any], screen: Screen) -> None:
    """Show the result of a check: photos, the probe's accuracy, and a table of the kinds of findings.

    Args:
        check: the content of ``check.json``.
        screen: where to show it.
    """
    files, classes = check["files"], check["classes"]
    parts = [counted(files.get("ok", 0), "photo"), counted(len(classes), "class", "classes")]
    if files.get("put aside"):
        parts.append(f"{files['put aside']:,} unusable")
    parts += check.get("skipped", [])
    screen.line("photos", " · ".join(parts), check["photos"])
    if len(classes) == 1:
        screen.line("", "one class only: a training needs at least two")
    if check["accuracy"] is not None:
        screen.line("probe", f"{percent(check['accuracy'])} cross-validated", "used to find wrong labels")
    decided = sum(map(is_decided, check["findings"]))
    if decided:
        screen.line("decided", f"not listed: {counted(decided, 'finding')} that your decisions settle")
    if decided == len(check["findings"]):
        screen.line("found", "no further problems found" if decided else "no problems found", strong=True)
        return
    rows = [("level", "problem", "n", "for example")]
    for (level, kind), findings in by_kind(check, decided=False).items():
        rows.append((level, kind, f"{len(findings):,}", _example(findings[0])))
    screen.table("found", rows, right=(2,))


def is_decided(finding: dict[str, Any]) -> bool:
    """Return whether the user has decided about all photos of a finding."""
    return bool(finding.get("decided"))


def by_kind(check: dict[str, Any], *, decided: bool = True) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the findings by (level, kind), the most serious level first, otherwise in their order.

    Args:
        check: the content of ``check.json``.
        decided: whether findings that the user has decided about are among them.
    """
    order = {"error": 0, "warning": 1, "info": 2}
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    findings = [finding for finding in check["findings"] if decided or not is_decided(finding)]
    for finding in sorted(findings, key=lambda finding: order[finding["level"]]):
        kinds.setdefault((finding["level"], finding["kind"]), []).append(finding)
    return kinds


def _example(finding: dict[str, Any]) -> str:
    names = finding["photos"][:_EXAMPLES]
    more = f" + {len(finding['photos']) - _EXAMPLES}" if len(finding["photos"]) > _EXAMPLES else ""
    return f"{', '.join(names)}{more}: {finding['words']}" if names else str(finding["words"])
