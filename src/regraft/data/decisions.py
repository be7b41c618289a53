"""``decisions.csv``: the user's decisions about photos (keep, drop or relabel), applied without changing a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from regraft.data.file_types import read_regular, why_unreadable
from regraft.data.manifest import Entry, Manifest
from regraft.data.source import class_order
from regraft.disk.atomic import write_text
from regraft.errors import PhotosError, did_you_mean, several
from regraft.text import counted

Action: TypeAlias = Literal["keep", "drop", "relabel"]

COLUMNS = ("path", "decision", "why")
_DROPPED = "dropped by "
_MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision about one photo.

    Attributes:
        name: the photo's path relative to the root, with ``/`` between the parts.
        action: ``"keep"``: it is correct, whatever a check reports; ``"drop"``; or ``"relabel"``.
        label: the new class, for ``"relabel"``.
        why: the reason, for people.
    """

    name: str
    action: Action
    label: str = ""
    why: str = ""

    @property
    def text(self) -> str:
        """The decision as text for the file, such as ``"relabel:tulip"``."""
        return f"relabel:{self.label}" if self.action == "relabel" else self.action


def read_decisions(file: Path) -> list[Decision]:
    """Read a CSV of path,decision[,why]; a later row about the same photo wins.

    Raises:
        PhotosError: the file is unreadable or invalid; all problems are listed with their rows.
    """
    try:
        text = read_regular(file).decode("utf-8-sig")
    except OSError as error:
        raise PhotosError(f"{file}: {why_unreadable(error, file)}") from error
    except UnicodeDecodeError as error:
        raise PhotosError(f"{file} is not UTF-8 text") from error
    rows = csv.reader(io.StringIO(text, newline=""))
    header = tuple(name.strip().casefold() for name in next(rows, ()))
    if header[:2] != COLUMNS[:2]:
        raise PhotosError(f"{file}: its first line must be {','.join(COLUMNS)}, not {','.join(header) or 'empty'}")
    decisions: dict[str, Decision] = {}
    problems = []
    for number, row in enumerate(rows, start=2):
        decision = _decision(row) if row else None
        if isinstance(decision, str):
            problems.append(f"row {number}: {decision}")
        elif decision is not None:
            decisions[decision.name] = decision
    if problems:
        raise PhotosError(several(str(file), problems[:_MAX_PROBLEMS]))
    return list(decisions.values())


def write_decisions(file: Path, decisions: Sequence[Decision]) -> None:
    """Write decisions as `read_decisions` reads them.

    Raises:
        OSError: the file cannot be written.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((d.name, d.text, d.why) for d in decisions)
    write_text(file, out.getvalue())


def apply_decisions(manifest: Manifest, decisions: Sequence[Decision], file: Path) -> tuple[str, ...]:
    """Mark dropped photos as unusable and set the class of relabeled ones, in the manifest alone.

    Returns:
        A note on decisions about missing photos.

    Raises:
        PhotosError: a photo is relabeled to a class that the folder does not have.
    """
    entries = {entry.name: entry for entry in manifest.entries}
    classes = set(manifest.classes)
    problems = [
        f"{d.name}: no class {d.label!r}{did_you_mean(d.label, classes)}"
        for d in decisions
        if d.action == "relabel" and d.label not in classes
    ]
    if problems:
        raise PhotosError(several(str(file), problems[:_MAX_PROBLEMS]))
    missing = [decision.name for decision in decisions if decision.name not in entries]
    for decision in decisions:
        entry = entries.get(decision.name)
        if entry is not None and entry.status == "ok":
            _apply(manifest, entry, decision, file)
    manifest.classes = class_order(entry.label for entry in manifest.usable)
    if not missing:
        return ()
    return (f"{file.name}: {counted(len(missing), 'decision')} about missing photos, such as {missing[0]}",)


def was_dropped(entry: Entry) -> bool:
    """Return whether a photo is unused because of a decision of the user."""
    return entry.status == "put aside" and entry.why.startswith(_DROPPED)


def _apply(manifest: Manifest, entry: Entry, decision: Decision, file: Path) -> None:
    reason = f": {decision.why}" if decision.why else ""
    if decision.action == "drop":
        manifest.set_aside(entry, f"{_DROPPED}{file.name}{reason}")
    elif decision.action == "relabel":
        manifest.relabel(entry, decision.label, f"relabelled from {entry.label} by {file.name}{reason}")


def _decision(row: Sequence[str]) -> Decision | str:
    if len(row) < 2 or not row[0]:
        return "expected path,decision,why"
    word, _, label = row[1].strip().partition(":")
    action = next((a for a in get_args(Action) if a == word.strip().casefold()), None)
    if action is None:
        return f"unknown decision {row[1]!r}; expected keep, drop, relabel:CLASS"
    if (action == "relabel") != bool(label):
        problem = "relabel needs a class, as in relabel:tulip" if action == "relabel" else f"{action} takes no class"
        return f"decision {row[1]!r}: {problem}"
    return Decision(row[0].replace("\\", "/"), action, label, row[2] if len(row) > 2 else "")
