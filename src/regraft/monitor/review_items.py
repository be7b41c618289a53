"""The photos of a review in the order in which decisions about them help most, and the decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.audit.finding import ACTIONABLE
from regraft.data.selection import place_of
from regraft.language import translate, translate_word

KEYS = 9
"""Classes that have a key."""

MAX_OTHERS = 5
"""Photos of the same finding that are shown next to a photo."""


@dataclass(frozen=True)
class ReviewItem:
    """A photo to decide about.

    Attributes:
        name: its name in the file of decisions.
        file: the photo.
        label: its class now; for a predicted photo the predicted class.
        kind: why it is shown, such as ``"wrong label"``.
        words: one sentence for the user.
        suggestion: a class that suits it better, or "".
        group: number of its finding; one decision may settle all its photos.
        others: other photos of the finding, to compare with.
        likely: the most probable classes, the first one first; may be empty.
    """

    name: str
    file: Path
    label: str
    kind: str
    words: str
    suggestion: str = ""
    group: int = 0
    others: tuple[Path, ...] = ()
    likely: tuple[str, ...] = ()


def items_of_check(check: Mapping[str, Any], moved: Mapping[str, Path] | None = None) -> list[ReviewItem]:
    """Return the photos of a check about which the user can decide, each once.

    Kinds come in the order of `ACTIONABLE`, and findings of a kind in the order of the check: the least certain label
    first.

    Args:
        check: the content of ``check.json``.
        moved: where photos are now, by their names, if they are no longer in the folders of ``check``.
    """
    folders, moved = tuple(map(Path, (check["photos"], *check.get("more_photos", ())))), moved or {}
    items: dict[str, ReviewItem] = {}
    findings = [f for kind in ACTIONABLE for f in check["findings"] if f["kind"] == kind and f["photos"]]
    for group, finding in enumerate(findings, start=1):
        names = finding["photos"]
        places = {name: moved.get(name) or place_of(name, folders) for name in names}
        for position, name in enumerate(names):
            suggestion = finding["suggestion"] if position == 0 else ""
            label = check["labels"].get(name, "")
            items.setdefault(
                name,
                ReviewItem(
                    name=name,
                    file=places[name],
                    label=label,
                    kind=finding["kind"],
                    words=finding["words"],
                    suggestion=suggestion,
                    group=group,
                    others=tuple(places[other] for other in names if other != name)[:MAX_OTHERS],
                    likely=tuple(one for one in (suggestion, label) if one),
                ),
            )
    return list(items.values())


class Review:
    """A review in progress.

    Args:
        items: the photos.
        classes: all classes.
        decided: earlier decisions by name: ``"keep"``, ``"drop"`` or ``"relabel:CLASS"``.
        save: called with all decisions after each one.

    Attributes:
        is_done: whether the user has ended the review.
    """

    def __init__(
        self,
        items: Sequence[ReviewItem],
        classes: Sequence[str],
        decided: Mapping[str, str],
        save: Callable[[Mapping[str, str]], None],
    ) -> None:
        self.items, self.classes = items, classes
        self.is_done = False
        self._decided = dict(decided)
        self._save = save

    def decide(self, number: int, decision: str) -> None:
        """Record the decision about a photo, and save all; "" removes it.

        Raises:
            ValueError: there is no such photo, decision or class.
            OSError: the file cannot be written; the decision is not recorded.
        """
        if not 0 <= number < len(self.items):
            raise ValueError(f"there is no photo {number}")
        word, _, label = decision.partition(":")
        if decision not in ("", "keep", "drop") and not (word == "relabel" and label in self.classes):
            raise ValueError(f"unknown decision {decision[:100]!r}")
        changed, name = dict(self._decided), self.items[number].name
        changed.pop(name, None)
        if decision:
            changed[name] = decision
        self._save(changed)
        self._decided = changed

    def as_json(self) -> dict[str, Any]:
        """Return everything that the page shows."""
        return {"classes": list(self.classes), "items": [self._item(item) for item in self.items]}

    def _item(self, item: ReviewItem) -> dict[str, Any]:
        few = len(self.classes) <= KEYS
        keys = self.classes if few else list(dict.fromkeys((*item.likely, *self.classes)))[:KEYS]
        return {
            "name": item.name,
            "label": item.label,
            "kind": translate_word(item.kind),
            "words": translate(item.words),
            "suggestion": item.suggestion,
            "group": item.group,
            "others": len(item.others),
            "keys": list(keys),
            "decision": self._decided.get(item.name, ""),
        }
