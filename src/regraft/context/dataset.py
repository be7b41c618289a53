"""From the folder of photos to the photos that a recipe works with, each on its side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regraft.context.config import RecipeName, TrainConfig
from regraft.data.decisions import apply_decisions, read_decisions
from regraft.data.manifest import Entry, Manifest, check_usable, scan
from regraft.data.photo import SIDES, Side
from regraft.data.source import find_photos
from regraft.data.split import carve_validation, check_split, split_by_content, use_given_sides
from regraft.data.split_units import make_units
from regraft.data.threads import workers_or_default
from regraft.run.folder import open_run_folder
from regraft.screen import Screen

SMALL = 1000
"""Below this many photos without a given split, the linear recipes lose none of them to a test set."""

HELD_BACK = ((SMALL, 0.2), (2 * SMALL, 0.1), (10 * SMALL, 0.05), (float("inf"), 0.02))
"""Below so many photos to train on, such a share of them is held back to choose by: one or two hundred tell an epoch
from another, and what more would add to that, training on them adds to the classifier. A few steps, lest every photo
that is added move others from one part to the other."""


@dataclass
class Photos:
    """The photos of a run.

    Attributes:
        manifest: every file and its fate.
        given: sides that the folder or the CSV gives; empty where regraft splits.
        alike: content hash to the id of its group, for photos that show the same picture; known after the first pass.
        undecided: name to the label on disk, for photos that a decision has dropped or relabelled.
    """

    manifest: Manifest
    given: frozenset[Side]
    alike: Mapping[str, str] = field(default_factory=dict)
    undecided: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the classifier's outputs."""
        return self.manifest.classes

    @property
    def usable(self) -> list[Entry]:
        """All photos that can be used so far, in name order."""
        return self.manifest.usable

    @property
    def small(self) -> bool:
        """Whether there are too few photos to give some away for a test."""
        return not self.given and len(self.usable) < SMALL

    def on(self, *sides: Side) -> list[Entry]:
        """Photos on any of ``sides``, in name order."""
        return [entry for entry in self.usable if entry.side in sides]

    def units(self, entries: Sequence[Entry]) -> list[str]:
        """Return for each entry the id of the photos that it may not be parted from: copies, and the user's group."""
        unit_of = {
            content: unit.contents[0]
            for unit in make_units(self.usable, self.alike, ("unit",))
            for content in unit.contents
        }
        return [unit_of[entry.content] for entry in entries]

    def labels(self, entries: Sequence[Entry]) -> NDArray[np.int64]:
        """Return the class index of each entry, shape (n,), int64."""
        index = {name: i for i, name in enumerate(self.classes)}
        return np.array([index[entry.label] for entry in entries], dtype=np.int64)


def gather(config: TrainConfig, screen: Screen) -> Photos:
    """Find the photos, read each file once for its content hash, and say what was found.

    Raises:
        PhotosError: the folder or the CSV is not what is needed.
    """
    source = find_photos(config.photos, config.labels)
    workers = workers_or_default(config.workers)
    with screen.progress("photos", len(source.photos)) as bar:
        manifest = scan(source, workers=workers, bar=bar)
    photos = Photos(manifest, source.given_sides)
    labels = {entry.name: entry.label for entry in manifest.usable}
    decided = () if config.decisions is None else decide(manifest, config.decisions)
    now = {entry.name: entry.label for entry in manifest.usable}
    photos.undecided = {name: label for name, label in labels.items() if now.get(name) != label}
    notes = (*decided, *check_usable(manifest))
    _say_found(photos, config.photos, screen)
    for note in (*source.notes, *notes):
        screen.warn(note)
    return photos


def decide(manifest: Manifest, file: Path) -> tuple[str, ...]:
    """Do with the photos as a person decided, and return what is worth saying.

    Raises:
        PhotosError: the file of decisions is wrong.
    """
    decisions = read_decisions(file)
    notes = apply_decisions(manifest, decisions, file)
    verbs = Counter(decision.action for decision in decisions)
    done = f"{verbs['drop']:,} dropped, {verbs['relabel']:,} relabelled, {verbs['keep']:,} kept"
    return (f"{file.name}: {done}", *notes)


def divide(photos: Photos, config: TrainConfig) -> tuple[str, ...]:
    """Give every usable photo its side, and return what is worth saying about it.

    It is called again when photos turn out to be damaged: sides of the others do not change, except that a side which
    lost its only photo of a class is filled again.

    Raises:
        PhotosError: a class has no photo to train on.
    """
    usable = photos.usable
    if photos.given:
        notes = use_given_sides(photos.manifest)
        check_split(photos.manifest)
        return notes
    keep = _earlier_sides(config.split_from) if config.split_from is not None else None
    split = split_by_content(usable, seed=config.split_seed, fractions=config.split, keep=keep, groups=photos.alike)
    photos.manifest.assign_sides(split.sides)
    check_split(photos.manifest)
    return split.notes


def say_sides(photos: Photos, notes: Sequence[str], recipe: RecipeName, screen: Screen) -> None:
    """Say how many photos are on each side, and by which rule."""
    if photos.small and recipe in ("linear-probe", "auto"):
        screen.line(
            "split", "none: out of fold over all photos", f"(under {SMALL:,}, too few to give some away for a test)"
        )
        if recipe == "linear-probe":
            return
    counts = Counter(entry.side for entry in photos.usable)
    parts = [f"{side} {counts[side]:,}" for side in SIDES if counts[side]]
    how = "as given" if photos.given else "by content; a photo keeps its side as you add more"
    label = "" if photos.small and recipe == "auto" else "split"
    screen.line(label, ("to compare with: " if not label else "") + " · ".join(parts), f"({how})")
    for note in notes:
        screen.line("", note)


def _say_found(photos: Photos, root: Path, screen: Screen) -> None:
    manifest = photos.manifest
    aside = [entry for entry in manifest.entries if entry.status == "put aside"]
    skipped = sum(entry.status == "skipped" for entry in manifest.entries)
    parts = [f"{len(photos.usable):,} photos", f"{len(photos.classes):,} classes"]
    if aside:
        parts.append(f"{len(aside):,} put aside ({_first(aside)})")
    if skipped:
        parts.append(f"{skipped:,} other files skipped")
    screen.line("photos", " · ".join(parts), str(root))


def _first(aside: Sequence[Entry]) -> str:
    more = f"; and {len(aside) - 1:,} more, see manifest.csv" if len(aside) > 1 else ""
    return f"{aside[0].name}: {aside[0].why}{more}"


def say_aside(entries: Sequence[Entry], screen: Screen) -> None:
    """Name, once, the photos that could not be decoded."""
    if entries:
        screen.warn(f"{len(entries):,} put aside ({_first(entries)})")


def _earlier_sides(run: Path) -> dict[str, Side]:
    manifest = Manifest.read(open_run_folder(run).manifest)
    return {entry.content: entry.side for entry in manifest.usable if entry.side is not None}


@dataclass(frozen=True)
class Parts:
    """Which photos are fitted, chosen by, and reported on.

    Attributes:
        train: photos that gradient steps, or a candidate's solver, look at.
        choose: photos that choices look at (best epoch, which candidate).
        report: photos that the result is measured on; no choice looks at them unless ``report_is_chosen_on``.
        report_side: their side, or None where nothing is held back and the figure is out of fold.
        refit: photos that a linear probe is fitted on before it is shipped.
        report_is_chosen_on: ``--choose-on-val`` was asked for.
    """

    train: list[Entry]
    choose: list[Entry]
    report: list[Entry]
    report_side: Side | None
    refit: list[Entry]
    report_is_chosen_on: bool = False

    @property
    def seen(self) -> list[Entry]:
        """Photos that a probe may be fitted on to be compared on ``report``, in name order."""
        chosen = [] if self.report_is_chosen_on else self.choose
        return sorted([*self.train, *chosen], key=lambda entry: entry.name)


def linear_parts(photos: Photos) -> Parts:
    """Return the parts of a recipe that only fits a linear model on frozen features.

    Regularisation is chosen by cross-validation, so no photo is set apart for choosing.
    """
    if photos.given:
        side: Side = "test" if "test" in photos.given else "validation"
        train = photos.on("train")
        return Parts(train, [], photos.on(side), side, train)
    if photos.small:
        return Parts(photos.usable, [], [], None, photos.usable)
    train = photos.on("train", "validation")
    return Parts(train, [], photos.on("test"), "test", train)


def gradient_parts(photos: Photos, config: TrainConfig) -> Parts:
    """Return the parts of a recipe that trains by gradient and keeps its best epoch."""
    train, validation, test = photos.on("train"), photos.on("validation"), photos.on("test")
    if not photos.given:
        refit = photos.usable if photos.small else photos.on("train", "validation")
        return Parts(train, validation, test, "test" if test else None, refit)
    if test and validation:
        return Parts(train, validation, test, "test", train)
    if config.choose_on_val and validation:
        return Parts(train, validation, validation, "validation", train, report_is_chosen_on=True)
    inner, chosen = carve_out(train, config, photos.alike)
    return Parts(inner, chosen, test or validation, "test" if test else "validation", train)


def carve_out(train: Sequence[Entry], config: TrainConfig, alike: Mapping[str, str]) -> tuple[list[Entry], list[Entry]]:
    """Set a validation part of ``train`` apart by content: a fifth of a few photos, less of many (`HELD_BACK`)."""
    fraction = next(share for below, share in HELD_BACK if len(train) < below)
    contents = carve_validation(train, seed=config.split_seed, fraction=fraction, groups=alike)
    inner = [entry for entry in train if entry.content not in contents]
    return inner, [entry for entry in train if entry.content in contents]
