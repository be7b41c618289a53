"""The freeze ledger: which blocks of the network moved and how far, and which are identical to the last byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regraft.report.elements import bar, details, section, table
from regraft.report.page import text
from regraft.report.run_data import RunData
from regraft.text import counted


def blocks(run: RunData) -> str:
    """Return the freeze ledger."""
    if not run.blocks:
        return ""
    moved = [row for row in run.blocks if row["before"] != row["after"]]
    largest = max((row.get("relative_change") or 0.0 for row in run.blocks), default=0.0) or 1.0
    several = any("member" in row for row in run.blocks)
    rows = [_row(row, largest, several=several) for row in run.blocks]
    head = ["block", "parameters", "", "change", "peak learning rate", "normalization"]
    shown = table(head, rows, left=(5,), caption="Blocks of the network, from the bottom to the top")
    same = len(run.blocks) - len(moved)
    backbone = [row for row in moved if row["block"] != "head"]
    count = counted(len(backbone), "block") if backbone else "No block"
    summary = (
        f"<p>{count} of the network moved; {same:,} "
        f"{'is' if same == 1 else 'are'} identical to the start, byte by byte (SHA-256).</p>"
    )
    note = (
        '<p class="note">Change: the norm of the difference to the pretrained parameters, relative to their norm.</p>'
    )
    return section("blocks", "What changed in the network", summary, details("All blocks", shown + note))


def _row(row: Mapping[str, Any], largest: float, *, several: bool) -> list[str]:
    change = row.get("relative_change")
    drawn = bar(min(1.0, (change or 0.0) / largest)) if change else ""
    moved = "trained" if change is None else f"{100 * change:.2g} %"
    said = "identical" if row["before"] == row["after"] else moved
    title = f"{row['network']} {row['block']}" if several else row["block"]
    rate = "" if row.get("learning_rate") is None else f"{row['learning_rate']:.2g}"
    return [text(title), f"{row['parameters']:,}", drawn, said, rate, text(row.get("normalisation", ""))]
