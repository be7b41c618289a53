"""`regraft check --review`: deciding about photos in the terminal, one finding after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from regraft.data.decisions import Decision
from regraft.screen import printable

_KINDS = (
    "two labels",
    "wrong label",
    "leak",
    "near copies",
    "same file",
    "same pixels",
    "placeholder",
    "outlier",
    "blank",
    "tiny",
)


def review(found: dict[str, Any], before: Sequence[Decision]) -> list[Decision]:
    """Ask about every finding that something can be done about, and return all decisions, those from before too."""
    decided = {decision.name: decision for decision in before}
    waiting = [f for kind in _KINDS for f in found["findings"] if f["kind"] == kind and f["photos"]]
    click.echo(f"{len(waiting):,} findings. Answer k to keep, d to drop, r to relabel, Enter to go on, q to stop.")
    for number, finding in enumerate(waiting, start=1):
        click.echo(f"\n{number}/{len(waiting)}  {finding['kind']}: {printable(finding['words'])}")
        for name in finding["photos"]:
            if name in decided:
                continue
            decision = _ask(name, finding, found)
            if decision is None:
                return list(decided.values())
            if decision.name:
                decided[name] = decision
    return list(decided.values())


def _ask(name: str, finding: dict[str, Any], found: dict[str, Any]) -> Decision | None:
    """Return the decision about one photo, one without a name for none, or None to stop."""
    label, kind = found["labels"].get(name, ""), finding["kind"]
    while True:
        answer = click.prompt(f"  {printable(name)}  ({printable(label)})", default="", show_default=False).strip()
        if answer in ("", "q"):
            return None if answer else Decision("", "keep")
        if answer in ("k", "d"):
            return Decision(name, "keep" if answer == "k" else "drop", why=kind)
        if answer == "r":
            classes = sorted(found["classes"])
            new = click.prompt("    class", default=finding["suggestion"] or None, type=click.Choice(classes))
            return Decision(name, "relabel", new, kind)
        click.echo("    k, d, r, q or Enter")
