"""`regraft check --review`: decisions about findings, asked for in the terminal one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from regraft.audit.finding import ACTIONABLE
from regraft.data.decisions import Decision
from regraft.language import translate, translate_word
from regraft.screen import printable


def review(
    check: dict[str, Any], earlier: Sequence[Decision], save: Callable[[Sequence[Decision]], None]
) -> list[Decision]:
    """Ask about every actionable finding, and return all decisions, including the earlier ones.

    Args:
        check: the content of ``check.json``.
        earlier: decisions from before; their photos are not asked about.
        save: called with all decisions after each answer, so that an interruption loses none.
    """
    decisions = {decision.name: decision for decision in earlier}
    findings = [f for kind in ACTIONABLE for f in check["findings"] if f["kind"] == kind and f["photos"]]
    click.echo(
        translate(f"{len(findings):,} findings. Answer k to keep, d to drop, r to relabel, Enter to skip, q to stop.")
    )
    for number, finding in enumerate(findings, start=1):
        click.echo(
            f"\n{number}/{len(findings)}  {translate_word(finding['kind'])}: {printable(translate(finding['words']))}"
        )
        for name in finding["photos"]:
            if name in decisions:
                continue
            decision = _ask(name, finding, check)
            if decision is None:
                return list(decisions.values())
            if decision.name:
                decisions[name] = decision
                save(list(decisions.values()))
    return list(decisions.values())


def _ask(name: str, finding: dict[str, Any], check: dict[str, Any]) -> Decision | None:
    """Return the decision about one photo, a decision without a name to skip it, or None to stop."""
    label, kind = check["labels"].get(name, ""), finding["kind"]
    while True:
        answer = click.prompt(f"  {printable(name)}  ({printable(label)})", default="", show_default=False).strip()
        if answer in ("", "q"):
            return None if answer else Decision("", "keep")
        if answer in ("k", "d"):
            return Decision(name, "keep" if answer == "k" else "drop", why=kind)
        if answer == "r":
            classes = sorted(check["classes"])
            new = click.prompt(
                translate_word("    class"), default=finding["suggestion"] or None, type=click.Choice(classes)
            )
            return Decision(name, "relabel", new, kind)
        click.echo(translate("    expected k, d, r, q or Enter"))
