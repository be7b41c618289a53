"""Figures of ``metrics.json`` as text: accuracy with its interval, baselines, and a table of the classes."""

from __future__ import annotations

from typing import Any

from regraft.screen import Screen
from regraft.text import counted, interval, percent

GAP = "      "

WIDE_INTERVAL = 0.15
"""Minimum width of an interval that is explained in a sentence."""

IMBALANCED = 1.5
"""Minimum share of the largest class, relative to equal classes, at which balanced accuracy is shown too."""

MAX_ROWS = 40
"""Maximum number of classes in the table."""


def show_accuracy(figures: dict[str, Any], photos: str, screen: Screen) -> None:
    """Show the accuracy with its interval and the photos it was measured on, and warn if they are too few."""
    accuracy = figures["accuracy"]
    bounds = f"   ({interval(accuracy)}, 95 % interval)" if interval(accuracy) else ""
    screen.line("accuracy", f"{percent(accuracy['value'])}{bounds}", photos, strong=True)
    low, high = accuracy["interval"] or (0.0, 1.0)
    if high - low > WIDE_INTERVAL:
        few = counted(accuracy["n"], "photo")
        screen.line("", f"with {few}, any accuracy from {100 * low:.0f} to {100 * high:.0f} % is plausible")
    largest = figures["largest_class"]
    share = largest["accuracy"]["value"]
    if share is not None and low <= share:
        always = f"always predicting {largest['label']!r}, which is correct for {percent(share)} of them"
        screen.warn(f"not clearly better than {always}")


def measured_on_briefly(entry: dict[str, Any]) -> str:
    """Return the number and kind of the photos that an entry of ``metrics.json`` was measured on."""
    if entry["photos"] == "out-of-fold":
        return f"{counted(entry['n'], 'photo')}, cross-validated"
    optimistic = ", optimistic" if entry["used_for_choosing"] else ""
    return counted(entry["n"], f"{entry['photos']} photo") + optimistic


def baselines(figures: dict[str, Any]) -> list[str]:
    """Return the accuracy of the largest class alone, and the balanced accuracy if the classes are imbalanced."""
    largest = figures["largest_class"]
    share = largest["accuracy"]["value"] or 0.0
    parts = [f"largest class alone ({largest['label']})  {percent(share)}"]
    present = sum(row["support"] > 0 for row in figures["per_class"])
    if present > 1 and share >= IMBALANCED / present:
        parts.append(f"balanced accuracy  {percent(figures['balanced_accuracy']['value'])}")
    return parts


def top_k(figures: dict[str, Any]) -> list[str]:
    """Return ``["top-2  97.7 %", …]`` for every k below the number of classes."""
    accuracy = {int(k): figure["value"] for k, figure in figures["top_k"].items()}
    return [f"top-{k}  {percent(accuracy[k])}" for k in sorted(accuracy) if k < len(figures["per_class"])]


def weakest(figures: dict[str, Any], n: int = 2) -> str:
    """Return the classes with the lowest recall, such as ``"weakest  tulip 81 % (n 21)"``, or ""."""
    weak = [row for row in figures["weakest"] if row["recall"]["value"] < 1][:n]
    if not weak:
        return ""
    classes = [f"{row['label']} {100 * row['recall']['value']:.0f} % (n {row['recall']['n']})" for row in weak]
    return f"weakest  {', '.join(classes)}"


def most_confused(figures: dict[str, Any]) -> str:
    """Return the most frequent confusion, such as ``"most confused  rose → tulip 6×"``, or ""."""
    if not figures["most_confused"]:
        return ""
    pair = figures["most_confused"][0]
    return f"most confused  {pair['true']} → {pair['predicted']} {pair['count']}×"


def show_evaluation(evaluation: dict[str, Any], where: str, screen: Screen) -> None:
    """Show all figures of an evaluation.

    Args:
        evaluation: the result of a function of `regraft.workflows.evaluate`.
        where: the folder or the side of the split that the photos are from.
        screen: where to show them.
    """
    figures, trained = evaluation["figures"], evaluation["trained_on"]
    left_out = bool(trained) and not evaluation["training_included"]
    show_accuracy(figures, f"{counted(evaluation['n'], 'new photo' if left_out else 'photo')} of {where}", screen)
    if left_out:
        screen.line("", f"{counted(trained, 'photo')} that it was trained on left out (--include-training)")
    elif trained:
        screen.warn(
            f"it was trained on {trained:,} of these {evaluation['n']:,} photos: on new photos it is less accurate"
        )
    elif trained is None:
        screen.line("", "whether it was trained on some of them is not known: name its run folder to leave those out")
    screen.line("compare", GAP.join(baselines(figures)))
    loss = figures["log_loss"]["value"]
    errors = [
        f"log-loss  {'–' if loss is None else f'{loss:.3f}'}",
        f"calibration error  {percent(figures['calibration_error']['value'])}",
    ]
    screen.line("details", GAP.join([*top_k(figures), *errors]))
    _show_classes(figures, screen)


def _show_classes(figures: dict[str, Any], screen: Screen) -> None:
    """Show precision, recall and F1 of every class, and the most frequent confusions."""
    rows = [("class", "photos", "recall", "precision", "F1")]
    for row in figures["per_class"]:
        shares = (percent(row[name]["value"]) for name in ("recall", "precision", "f1"))
        rows.append((row["label"], f"{row['support']:,}", *shares))
    screen.table("classes", rows[: MAX_ROWS + 1], right=(1, 2, 3, 4), optional=(4, 3))
    if len(rows) > MAX_ROWS + 1:
        screen.line("", f"… and {len(rows) - MAX_ROWS - 1:,} more; --json lists all")
    for k, pair in enumerate(figures["most_confused"][:5]):
        text = f"{pair['true']} → {pair['predicted']}  {pair['count']} of {pair['n']}"
        screen.line("confused" if k == 0 else "", text)
