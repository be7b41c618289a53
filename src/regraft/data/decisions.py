"""``decisions.csv``: the user's decisions about photos (keep, drop or relabel), applied without changing a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from regraft.data.folders.photo_finder import PhotoFinder
from regraft.data.manifest import Entry, Manifest
from regraft.data.source import class_order
from regraft.data.tables.cells import column_key
from regraft.data.tables.column_words import LABEL_RANKS, PATH_RANKS
from regraft.data.tables.table import read_table
from regraft.disk.csv_file import write_csv
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
    """Read a table of path,decision[,why], as a CSV or an Excel file; a later row about the same photo wins.

    Raises:
        PhotosError: the file is unreadable or invalid; all problems are listed with their rows.
    """
    table = read_table(file, "decisions", ",".join(COLUMNS))
    keys = [column_key(name) for name in table.header]
    paths = [i for i, key in enumerate(keys) if key in PATH_RANKS]
    if not paths or "decision" not in keys:
        labels = any(key in LABEL_RANKS for key in keys) and "decision" not in keys
        found = ",".join(field.strip().casefold() for field in table.header)
        step = f"\n  it looks like labels: --labels {file}" if labels else ""
        raise PhotosError(f"{file}: its first line must be {','.join(COLUMNS)}, not {found or 'empty'}{step}")
    at = [min(paths, key=lambda i: PATH_RANKS[keys[i]]), keys.index("decision")]
    at += [keys.index("why") if "why" in keys else 2]
    decisions: dict[str, Decision] = {}
    problems = []
    for number, row in table.rows:
        decision = _decision([row[i] for i in at if i < len(row)])
        if isinstance(decision, str):
            problems.append(f"row {number}: {decision}")
        else:
            decisions[decision.name] = decision
    if table.problem:
        problems.append(table.problem)
    if problems:
        raise PhotosError(several(str(file), problems[:_MAX_PROBLEMS]))
    return list(decisions.values())


def write_decisions(file: Path, decisions: Sequence[Decision]) -> None:
    """Write decisions as `read_decisions` reads them.

    Raises:
        OSError: the file cannot be written.
    """
    write_csv(file, [COLUMNS, *((d.name, d.text, d.why) for d in decisions)])


def apply_decisions(manifest: Manifest, decisions: Sequence[Decision], file: Path) -> tuple[str, ...]:
    """Mark dropped photos as unusable and set the class of relabeled ones, in the manifest alone.

    Returns:
        A note on decisions about missing photos.

    Raises:
        PhotosError: a photo is relabeled to a class that the folder does not have.
    """
    entries = {entry.name: entry for entry in manifest.entries}
    decisions = named_as_photos(decisions, manifest)
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


def named_as_photos(decisions: Sequence[Decision], manifest: Manifest) -> list[Decision]:
    """Return decisions with the names of the photos that they mean, which may be written as in a table of labels."""
    names = {entry.name for entry in manifest.entries}
    finder = PhotoFinder(
        {"": manifest.root}, (), lambda: [(entry.name, entry.path) for entry in manifest.entries], elsewhere=True
    )
    places = {d.name: d.name if d.name in names else finder.find(d.name) for d in decisions}
    return [
        decision if isinstance(place := places[decision.name], str) else replace(decision, name=place[0])
        for decision in decisions
    ]


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
