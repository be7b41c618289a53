"""Figures of ``metrics.json`` in words: how good, class by class, and how much the photos behind it can say."""

from __future__ import annotations

from typing import Any

from regraft.screen import Screen
from regraft.text import columns, counted, interval, percent

GAP = "      "

LITTLE = 0.15
"""An interval wider than this is spelt out: so few photos say little."""

UNEVEN = 1.5
"""From this many times its fair share on, the largest class makes accuracy look better than it is."""

ROWS = 40
"""A table of classes, or a list of confusions, is cut after this many rows."""


def show_accuracy(figures: dict[str, Any], photos: str, screen: Screen) -> None:
    """Say the accuracy with its interval and the photos behind it, and how much so few of them can say."""
    accuracy = figures["accuracy"]
    bounds = f"   ({interval(accuracy)}, 95 %)" if interval(accuracy) else ""
    screen.line("accuracy", f"{percent(accuracy['value'])}{bounds}", photos, strong=True)
    low, high = accuracy["interval"] or (0.0, 1.0)
    if high - low > LITTLE:
        says = f"{counted(accuracy['n'], 'photo')} {'says' if accuracy['n'] == 1 else 'say'} little"
        screen.line("", f"{says}: anything from {100 * low:.0f} to {100 * high:.0f} % is plausible")
    largest = figures["largest_class"]
    share = largest["accuracy"]["value"]
    if share is not None and low <= share:
        screen.warn(
            f"not clearly better than always answering {largest['label']!r}, which is right on {percent(share)} of them"
        )


def beside(figures: dict[str, Any]) -> list[str]:
    """Return what the largest class alone would score, and the balanced accuracy where classes are uneven."""
    largest = figures["largest_class"]
    share = largest["accuracy"]["value"] or 0.0
    parts = [f"largest class alone ({largest['label']})  {percent(share)}"]
    present = sum(row["support"] > 0 for row in figures["per_class"])
    if present > 1 and share >= UNEVEN / present:
        parts.append(f"balanced over classes  {percent(figures['balanced_accuracy']['value'])}")
    return parts


def ranks(figures: dict[str, Any]) -> list[str]:
    """Return ``["top-2  97.7 %", …]`` for those that are below the number of classes."""
    top = {int(k): figure for k, figure in figures["top_k"].items()}
    return [f"top-{k}  {percent(top[k]['value'])}" for k in sorted(top) if k < len(figures["per_class"])]


def weakest(figures: dict[str, Any], n: int = 2) -> str:
    """Return the classes that are recognised least often, such as ``"weakest  tulip 81 % (n 21)"``."""
    weak = [row for row in figures["weakest"] if row["recall"]["value"] < 1][:n]
    if not weak:
        return ""
    shown = ", ".join(f"{row['label']} {100 * row['recall']['value']:.0f} % (n {row['recall']['n']})" for row in weak)
    return f"weakest  {shown}"


def most_confused(figures: dict[str, Any]) -> str:
    """Return the pair of classes that is confused most often, such as ``"most confused  rose → tulip 6×"``."""
    if not figures["most_confused"]:
        return ""
    pair = figures["most_confused"][0]
    return f"most confused  {pair['true']} → {pair['predicted']} {pair['count']}×"


def show_evaluation(found: dict[str, Any], where: str, screen: Screen) -> None:
    """Say all figures of an evaluation: what `regraft.workflows.evaluate` returns, for the photos of ``where``."""
    figures = found["figures"]
    show_accuracy(figures, f"{counted(found['n'], 'photo')} of {where}", screen)
    screen.line("compare", GAP.join(beside(figures)))
    loss = figures["log_loss"]["value"]
    errors = [
        f"log-loss  {'–' if loss is None else f'{loss:.3f}'}",
        f"calibration error  {percent(figures['calibration_error']['value'])}",
    ]
    screen.line("details", GAP.join([*ranks(figures), *errors]))
    _show_classes(figures, screen)


def _show_classes(figures: dict[str, Any], screen: Screen) -> None:
    """Say precision, recall and F1 of every class, and which pairs are confused most often."""
    rows = [("class", "photos", "recall", "precision", "F1")]
    for row in figures["per_class"]:
        shares = (percent(row[name]["value"]) for name in ("recall", "precision", "f1"))
        rows.append((row["label"], f"{row['support']:,}", *shares))
    lines = columns(rows, right=(1, 2, 3, 4))
    for k, line in enumerate(lines[: ROWS + 1]):
        screen.line("classes" if k == 0 else "", line)
    if len(lines) > ROWS + 1:
        screen.line("", f"… and {len(lines) - ROWS - 1:,} more; --json has all")
    for k, pair in enumerate(figures["most_confused"][:5]):
        text = f"{pair['true']} → {pair['predicted']}  {pair['count']} of {pair['n']}"
        screen.line("confused" if k == 0 else "", text)
