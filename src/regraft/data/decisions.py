"""``decisions.csv``: what a person decided about photos, without touching a file: keep, drop or relabel."""

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

Verb: TypeAlias = Literal["keep", "drop", "relabel"]

COLUMNS = ("path", "decision", "why")
_MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about one photo.

    Attributes:
        name: the photo's path relative to the root, with ``/`` between the parts.
        verb: ``"keep"``: it is right as it is, whatever a check says; ``"drop"``; or ``"relabel"``.
        label: the class that it is given, for ``"relabel"``.
        why: the reason, for people.
    """

    name: str
    action: Verb
    label: str = ""
    why: str = ""

    @property
    def text(self) -> str:
        """The decision as the file holds it, such as ``"relabel:tulip"``."""
        return f"relabel:{self.label}" if self.action == "relabel" else self.action


def read_decisions(file: Path) -> list[Decision]:
    """Read a CSV of path,decision[,why]; a later row about the same photo wins.

    Raises:
        PhotosError: it cannot be read, or something in it is wrong; everything is named with its row.
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
    found: dict[str, Decision] = {}
    problems = []
    for number, row in enumerate(rows, start=2):
        decision = _decision(row) if row else None
        if isinstance(decision, str):
            problems.append(f"row {number}: {decision}")
        elif decision is not None:
            found[decision.name] = decision
    if problems:
        raise PhotosError(several(str(file), problems[:_MAX_PROBLEMS]))
    return list(found.values())


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
    """Put dropped photos aside and give relabelled ones their class, in the manifest alone.

    A photo may be relabelled to a class that the folder does not have, if several are.

    Returns:
        What is worth saying: decisions about photos that are not there.

    Raises:
        PhotosError: a photo is relabelled to an unknown class that looks like a known one.
    """
    entries = {entry.name: entry for entry in manifest.entries}
    known = set(manifest.classes)
    problems = [
        f"{d.name}: no class {d.label!r}{did_you_mean(d.label, known)}"
        for d in decisions
        if d.action == "relabel" and d.label not in known
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
    are = "photo is" if len(missing) == 1 else "photos are"
    return (f"{len(missing):,} {are} not there that {file.name} decides about, such as {missing[0]}",)


def _apply(manifest: Manifest, entry: Entry, decision: Decision, file: Path) -> None:
    reason = f": {decision.why}" if decision.why else ""
    if decision.action == "drop":
        manifest.set_aside(entry, f"dropped by {file.name}{reason}")
    elif decision.action == "relabel":
        entry.why = f"relabelled from {entry.label} by {file.name}{reason}"
        entry.label = decision.label


def _decision(row: Sequence[str]) -> Decision | str:
    if len(row) < 2 or not row[0]:
        return "expected path,decision,why"
    verb, _, label = row[1].strip().partition(":")
    known = next((v for v in get_args(Verb) if v == verb.strip().casefold()), None)
    if known is None:
        return f"decision {row[1]!r} is none of keep, drop, relabel:CLASS"
    if (known == "relabel") != bool(label):
        return f"decision {row[1]!r}: relabel needs a class, as in relabel:tulip" if known == "relabel" else row[1]
    return Decision(row[0].replace("\\", "/"), known, label, row[2] if len(row) > 2 else "")
