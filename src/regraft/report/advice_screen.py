"""The advice on the screen, at 80 columns: a row for each way, the reason, and the lecture's picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from regraft.advice.reasons import ALIKE, FEW, MANY, UNLIKE
from regraft.language import translate
from regraft.screen import Screen
from regraft.text import counted, padded, percent

HALF, HEIGHT = 30, 3
"""Columns and lines of each quarter of the picture."""


def show_advice(facts: Mapping[str, Any], screen: Screen) -> None:
    """Show the advice.

    Args:
        facts: the result of `regraft.workflows.advice_facts.advice_facts`.
        screen: where to show it.
    """
    for label, text in _figures(facts):
        screen.line(label, text)
    screen.line("", "")
    screen.table("ways", way_table(facts), right=(2, 3, 4, 5, 6))
    for note in _notes(facts):
        screen.line("", "", note)
    screen.line("", "")
    for label, line in picture(facts):
        screen.line(label, line)
    screen.line("", "")
    screen.line("advice", _advice(facts), strong=True)
    screen.line("why", facts["reason"])
    lecture = facts["table_of_the_lecture"]
    if lecture is not None and lecture != facts["advised"]:
        title = _way(facts, lecture)["title"] if _way(facts, lecture) else lecture
        screen.line("", f"(the lecture's table alone would say: {title})")
    screen.line("evidence", _evidence(facts))
    if facts["toss_up"]:
        screen.line("measure", "auto trains what is worth it, compares it on your photos, and keeps the best")
    screen.line("next", facts["next"])


def way_table(facts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows of the table of ways, its heading first; an arrow marks the advised one."""
    rows: list[tuple[str, ...]] = [("", "way", "expected", "90 %", "minutes", "P(best)", "regret")]
    for way in sorted(facts["ways"], key=lambda way: -way["accuracy"]):
        low, high = (100 * bound for bound in way["interval"])
        fits = way["probability_of_best"] is not None
        rows.append(
            (
                "→" if way["way"] == facts["advised"] else "",
                way["title"],
                percent(way["accuracy"]),
                f"{low:.1f}–{high:.1f}",
                "–" if way["minutes"] is None else f"{way['minutes']:.1f}",
                f"{way['probability_of_best']:.2f}" if fits else "–",
                f"{way['expected_regret']:.1f}" if fits else "–",
            )
        )
    return rows


def picture(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the lecture's picture of size and similarity, with this folder in it, as labels and lines."""
    corners = {
        (0, 0): "a linear classifier",
        (0, 1): "fine-tune all layers",
        (1, 0): "a linear classifier",
        (1, 1): "fine-tune all layers,",
    }
    below = {(1, 0): "on earlier layers too", (1, 1): "many epochs"}
    lines = []
    for band, label in enumerate(("alike", "unlike")):
        for number in range(HEIGHT):
            texts = corners if number == 0 else below if number == 1 else {}
            left, right = (f" {padded(translate(texts.get((band, side), '')), HALF - 1)}" for side in (0, 1))
            lines.append([label if number == 0 else "", f"{left}│{right}"])
        if band == 0:
            lines.append(["", "─" * HALF + "┼" + "─" * HALF])
    lead = facts["figures"]["lead"]
    if lead is not None:
        row, column = _position(facts["figures"]["photos_a_class"], lead)
        text = lines[row][1]
        lines[row][1] = f"{text[:column]}◆{text[column + 1 :]}"
    few = padded(translate(f"few photos of a class ({FEW:.0f})"), HALF)
    head = f" {few} {translate(f'many ({MANY:.0f})')}"
    return [("", head), *((label, text.rstrip()) for label, text in lines)]


def _position(photos_a_class: float, lead: float) -> tuple[int, int]:
    """Return the line and the column of a folder in the picture; the bands of lines are empty where it may stand."""
    middle, wide = math.log(FEW * MANY) / 2, math.log(MANY / FEW)
    across = 0.5 + (math.log(max(photos_a_class, 1.0)) - middle) / (3 * wide)
    column = round(min(max(across, 0.02), 0.98) * 2 * HALF)
    center, span = (ALIKE + UNLIKE) / 2, ALIKE - UNLIKE
    below = (center - lead) / span
    row = 2 if below < 0 else HEIGHT + 3
    if abs(below) < 0.25:
        row = HEIGHT
    return row, column


def _figures(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return labels and texts about the folder: its learning curve, its depth profile, its labels."""
    lines = []
    curve = [f"{percent(1 - p['error'])} with {p['photos']:,}" for p in facts["learning_curve"]]
    if len(curve) > 1:
        slope = 100 * facts["figures"]["slope"]
        lines.append(("curve", f"{', '.join(curve)} photos; twice as many cut the log-loss by {slope:.0f} %"))
    profile = facts["depth_profile"]
    if profile is None:
        lines.append(("depth", "no depth profile: a single tensor must pass from block to block of this network"))
    else:
        *lower, top = profile["explained"]
        best = max(range(len(lower)), key=lower.__getitem__)
        block = f"lower block {best + 1} of {len(lower)} {100 * max(lower[best], 0):.0f} %"
        photos = counted(profile["photos"], "photo")
        text = f"top layer explains {100 * max(top, 0):.0f} % of the classes, {block}: {facts['similarity']} ({photos})"
        lines.append(("depth", text))
    if facts["suspicious_labels"]:
        doubtful = counted(facts["suspicious_labels"], "photo")
        lines.append(("labels", f"{doubtful} may have a wrong label, which no way can mend; see regraft check"))
    return lines


def _notes(facts: Mapping[str, Any]) -> list[str]:
    notes = list(dict.fromkeys(way["missing"] for way in facts["ways"] if way["missing"]))
    budget = facts["budget_minutes"]
    if budget is not None:
        notes.append(f"P(best) and regret count the ways that fit into {budget:g} minutes")
    return notes


def _advice(facts: Mapping[str, Any]) -> str:
    way = _way(facts, facts["advised"])
    sure = f"best of these with a probability of {way['probability_of_best']:.2f}"
    if not facts["toss_up"]:
        return f"{way['title']}, {sure}"
    near = [one for one in facts["ways"] if one["probability_of_best"] is not None and one["way"] != way["way"]]
    if not near:
        return str(way["title"])
    rival = max(near, key=lambda one: one["probability_of_best"])
    return f"{way['title']}; a toss-up: {sure}, {rival['title']} {rival['probability_of_best']:.2f}"


def _evidence(facts: Mapping[str, Any]) -> str:
    evidence = facts["evidence"]
    text = f"{evidence['measurements']:,} measurements on {evidence['folders']} folders"
    own = evidence["own_runs"]
    return f"{text}, {counted(own, 'run')} of your own" if own else text


def _way(facts: Mapping[str, Any], way: str) -> Any:
    return next((one for one in facts["ways"] if one["way"] == way), None)
