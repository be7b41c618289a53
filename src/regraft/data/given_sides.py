"""Sides that the folder or the CSV gives, and the check that every class has photos to train on."""

from __future__ import annotations

from collections import Counter, defaultdict

from regraft.data.manifest import Manifest
from regraft.data.photo import SIDES, Side
from regraft.errors import PhotosError, did_you_mean
from regraft.text import counted, shorten


def use_given_sides(manifest: Manifest) -> tuple[str, ...]:
    """Set the side of every usable photo to its side in the folder or the CSV.

    Returns:
        Notes on exact duplicates on different sides, which make accuracy look too high, and on classes that a side
        lacks.
    """
    sides: dict[str, set[Side | None]] = defaultdict(set)
    manifest.assign_given_sides()
    for entry in manifest.usable:
        sides[entry.content].add(entry.given_side)
    leaked = sum(len(of_content) > 1 for of_content in sides.values())
    lacking = _lacking_notes(manifest)
    if not leaked:
        return lacking
    appear = counted(leaked, "photo appears", "photos appear")
    note = f"{appear} in more than one part of your split, as exact duplicates, so accuracy will look too high"
    return (note, *lacking)


def _lacking_notes(manifest: Manifest) -> tuple[str, ...]:
    """Return a note for each side of a given split that measures the result and has no photo of a class."""
    present: dict[Side, set[str]] = defaultdict(set)
    for entry in manifest.usable:
        if entry.side is not None:
            present[entry.side].add(entry.label)
    classes = manifest.classes
    lacking = {side: [name for name in classes if name not in present[side]] for side in SIDES if side in present}
    return tuple(
        f"the {side} photos have none of {shorten(names)}: figures that are measured on them do not cover that"
        for side, names in lacking.items()
        if names and side != "train"
    )


def check_split(manifest: Manifest) -> None:
    """Check that every class has photos to train on.

    Raises:
        PhotosError: classes without a photo on the train side; all of them are named.
    """
    sides: dict[str, Counter[Side | None]] = defaultdict(Counter)
    for entry in manifest.usable:
        sides[entry.label][entry.side] += 1
    trained = [name for name in manifest.classes if sides[name]["train"]]
    problems = [
        f"class {name!r} has photos in {' and '.join(s for s in SIDES if sides[name][s]) or 'no side'}, none in train"
        f"{did_you_mean(name, trained)}"
        for name in manifest.classes
        if not sides[name]["train"]
    ]
    if problems:
        more = f"\n  … and {len(problems) - 20:,} more" if len(problems) > 20 else ""
        step = "\n  move some of these photos to the training side, or leave out the class"
        raise PhotosError("\n  ".join([f"{manifest.root}: {problems[0]}", *problems[1:20]]) + more + step)
