"""`Photo`: one file that claims to be a photo, before anything of it is read."""

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
"""How people call the sides, in folders and in CSV files; compared without regard to case."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One file that claims to be a photo, not yet read.

    Attributes:
        path: where to open it.
        name: its path relative to the root, with ``/`` between the parts, exactly as on disk.
        label: its class, as written.
        split: the side that the folder or the CSV gives it, or None.
        group: the user's group (photos of one group stay on one side), or None.
    """

    path: Path
    name: str
    label: str
    split: Side | None
    group: str | None
