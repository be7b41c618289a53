"""The reviews in the browser: `regraft check --serve` and `regraft predict --review`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.errors import MissingExtraError, PhotosError
from regraft.screen import Screen
from regraft.text import command, counted

if TYPE_CHECKING:
    from regraft.inference.prediction import Prediction
    from regraft.monitor.review_items import Review

REVIEWED = Path("reviewed.csv")
"""The file of labels that a review of predicted photos writes."""


def review_check(
    result: Mapping[str, Any], file: Path, train: str, screen: Screen, moved: Mapping[str, Path] | None = None
) -> None:
    """Let the user decide about the findings of a check; each decision is saved at once.

    Args:
        result: the content of ``check.json``; its decisions stay in the file.
        file: the file of decisions.
        train: the command that uses them.
        screen: where the address and the result are shown.
        moved: where photos are now, by their names, if they are no longer in the folders of ``result``.
    """
    _require_server()
    from regraft.data.decisions import Decision, write_decisions
    from regraft.monitor.review_items import Review, items_of_check

    items, earlier = items_of_check(result, moved), {row["path"]: row for row in result["decisions"]}
    if not items:
        screen.line("review", "no finding needs a decision")
        return
    reasons = {item.name: item.kind for item in items} | {name: row["why"] for name, row in earlier.items()}

    def save(decisions: Mapping[str, str]) -> None:
        made = []
        for name, text in decisions.items():
            action, _, label = text.partition(":")
            made.append(Decision(name, action, label, reasons.get(name, "")))  # type: ignore[arg-type]
        write_decisions(file, made)

    decided = {name: row["decision"] for name, row in earlier.items()}
    review = Review(items, sorted(result["classes"]), decided, save)
    _serve(review, f"Review of {result['photos']}", file, screen)
    if file.exists():
        screen.line("review", f"decisions are in {file}", f"use them: {train}")


def review_predictions(predictions: Sequence[Prediction], classes: Sequence[str], screen: Screen) -> None:
    """Let the user accept or correct predictions; the labels are saved at once, for `regraft train`.

    Raises:
        PhotosError: no photo could be read.
    """
    _require_server()
    from regraft.monitor.predicted_items import (
        decisions_of_labels,
        items_of_predictions,
        place,
        read_labels,
        write_labels,
    )
    from regraft.monitor.review_items import Review

    items = items_of_predictions(predictions)
    if not items:
        raise PhotosError("none of the photos could be read, so there is nothing to review")
    earlier = read_labels(REVIEWED)

    def save(decisions: Mapping[str, str]) -> None:
        write_labels(REVIEWED, items, decisions, earlier)

    review = Review(items, classes, decisions_of_labels(earlier, items), save)
    _serve(review, f"Review of {counted(len(items), 'predicted photo')}", REVIEWED, screen)
    if REVIEWED.exists():
        folder = os.path.relpath(os.path.commonpath([Path(place(item.name)).parent for item in items]))
        train = command("regraft", "train", folder, "--labels", REVIEWED)
        screen.line("review", f"labels are in {REVIEWED}", f"use them: {train}")


def _serve(review: Review, title: str, file: Path, screen: Screen) -> None:
    from regraft.monitor.review_app import serve_review
    from regraft.monitor.watch import open_in_browser

    def opened(address: str) -> None:
        screen.line("review", address, "Ctrl-C or the button on the page ends it", strong=True)
        open_in_browser(address)

    serve_review(review, title, file, opened)


def _require_server() -> None:
    """Raise if the packages of the pages are missing.

    Raises:
        MissingExtraError: they are.
    """
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise MissingExtraError("pages that review photos", "monitor")
