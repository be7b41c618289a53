"""`Photo`: a file that looks like a photo by its name, before it is read; and the sides of a split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Side: TypeAlias = Literal["train", "validation", "test"]

SIDES: tuple[Side, ...] = ("train", "validation", "test")

SIDE_NAMES: dict[str, Side] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""Names of the sides in folders and CSV files; compared without regard to case."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A file that looks like a photo by its name.

    Attributes:
        path: path to open it by.
        name: its path relative to the root, with ``/`` between the parts, exactly as on disk.
        label: its class, as written.
        split: its side according to the folder or the CSV, or None.
        group: the user's group (photos of a group stay on one side), or None.
    """

    path: Path
    name: str
    label: str
    split: Side | None
    group: str | None
