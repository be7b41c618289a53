"""`Photo`: a file that looks like a photo by its name, before it is read; sides of a split, and meanings of folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from regraft.data.compact_path import with_compact_path

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

FolderMeaning: TypeAlias = Literal["classes", "sides", "parts"]
"""The folders in the folder of photos are the classes; or sides (training, validation, test) with the classes in them;
or parts with the classes in them, whose photos are split like those of one folder."""

FOLDER_MEANINGS: tuple[FolderMeaning, ...] = get_args(FolderMeaning)


@with_compact_path
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
