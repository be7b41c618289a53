"""The photos of a run: found, checked, and each assigned to a side of the split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regraft.audit.grouping import DECODED_RULES, check_grouping, user_groups
from regraft.context.config import TrainConfig
from regraft.context.option_values import RecipeName
from regraft.data.archives.address import shown
from regraft.data.decisions import apply_decisions, read_decisions
from regraft.data.given_sides import check_split, use_given_sides
from regraft.data.manifest import Entry, Manifest, check_usable, describe_skipped, scan
from regraft.data.photo import SIDES, Side
from regraft.data.selection import MovedPhotos
from regraft.data.source import select_photos
from regraft.data.split import split_by_content
from regraft.data.split_units import unit_ids
from regraft.data.threads import workers_or_default
from regraft.models.own_weights import OwnWeights, own_weights
from regraft.run.folder import open_run_folder
from regraft.screen import Screen
from regraft.text import counted

SMALL = 1000
"""With fewer photos and no given split, the linear recipes use all of them instead of holding back a test set."""


@dataclass(frozen=True)
class Dataset:
    """The photos of a run.

    Attributes:
        manifest: every file and its status.
        given: sides that the folder or the CSV assigns; empty if regraft makes the split.
        kept_sides: content hash to the photo's side in the run that ``split_from`` or ``weights`` names.
        labels_before_decisions: name to the label on disk, for photos that a decision has dropped or relabeled.
        duplicate_group: content hash to the id of its group, for photos that show the same picture.
        median_side: median of the photos' shorter sides in pixels; None until they have been decoded.
        tuned_before: whether the backbone was trained on some of the photos, so that only others can test it.
        capture_times: content hash to the capture time in seconds, for photos whose files contain one.
    """

    manifest: Manifest
    given: frozenset[Side]
    kept_sides: Mapping[str, Side] = field(default_factory=dict)
    labels_before_decisions: Mapping[str, str] = field(default_factory=dict)
    duplicate_group: Mapping[str, str] = field(default_factory=dict)
    median_side: int | None = None
    tuned_before: bool = False
    capture_times: Mapping[str, float] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the classifier's outputs."""
        return self.manifest.classes

    @property
    def usable(self) -> list[Entry]:
        """All photos that can be used, in name order."""
        return self.manifest.usable

    @property
    def small(self) -> bool:
        """True if there are too few photos to reserve some for a test."""
        return not self.given and not self.tuned_before and len(self.usable) < SMALL

    def on(self, *sides: Side) -> list[Entry]:
        """Return the photos on any of ``sides``, in name order."""
        return [entry for entry in self.usable if entry.side in sides]

    def units(self, entries: Sequence[Entry]) -> list[str]:
        """Return for each entry the id of its unit: photos that share a side (duplicates, the user's group)."""
        shared = unit_ids(self.usable, self.duplicate_group)
        return [shared.get(entry.content, entry.content) for entry in entries]

    def labels(self, entries: Sequence[Entry]) -> NDArray[np.int64]:
        """Return the class index of each entry, shape (n,), int64."""
        index = {name: i for i, name in enumerate(self.classes)}
        return np.array([index[entry.label] for entry in entries], dtype=np.int64)


def load_dataset(config: TrainConfig, screen: Screen, moved: MovedPhotos | None = None) -> Dataset:
    """Return the photos, each read once for its content hash; print how many there are.

    Args:
        config: the configuration.
        screen: where progress and notes go.
        moved: where photos are now, if they are no longer in the folder of ``config``.

    Raises:
        PhotosError: the folder or the CSV is invalid, or the photos cannot be split.
        RunFolderError: the run of ``split_from`` is missing or damaged.
    """
    source = select_photos(config.selection, moved=moved)
    workers = workers_or_default(config.workers)
    with screen.progress("photos", len(source.photos)) as bar:
        manifest = scan(source, workers=workers, bar=bar)
    labels = {entry.name: entry.label for entry in manifest.usable}
    decided = () if config.decisions is None else apply_decisions_file(manifest, config.decisions)
    now = {entry.name: entry.label for entry in manifest.usable}
    changed = {name: label for name, label in labels.items() if now.get(name) != label}
    notes = (*decided, *check_usable(manifest))
    own = None if config.weights is None else own_weights(config.weights)
    earlier = config.split_from or (own.run if own is not None and own.held_back else None)
    kept = {} if earlier is None or source.given_sides else _earlier_sides(earlier)
    tuned = own is not None and own.trained
    dataset = Dataset(manifest, source.given_sides, kept, changed, tuned_before=tuned)
    _print_photos(dataset, (config.photos, *(config.more_photos or ())), screen)
    if own is not None:
        _print_own_weights(own, dataset, config.recipe, screen)
    for note in (*source.notes, *notes):
        screen.warn(note)
    _check_can_be_split(dataset)
    _check_groups(dataset, config, screen)
    return dataset


def _check_groups(dataset: Dataset, config: TrainConfig, screen: Screen) -> None:
    """Check the user's groups before anything is computed; some rules are checked once the photos are decoded.

    Raises:
        ConfigError: the rule is invalid, or learning is impossible with these groups.
    """
    entries = divisible(dataset)
    if config.group_by not in (None, *DECODED_RULES):
        groups = user_groups(config.group_by, dataset.usable, (), config.selection)
        if len(groups) < len(dataset.usable):
            screen.warn(f"--group-by {config.group_by} applies to {len(groups):,} of {len(dataset.usable):,} photos")
    elif any(entry.group for entry in entries):
        groups = {}
    else:
        return
    warning = check_grouping(config.group_by, entries, groups)
    if warning:
        screen.warn(warning)


def divisible(dataset: Dataset) -> list[Entry]:
    """Return the photos among which groups are kept together: those for training, if the sides are given."""
    return [entry for entry in dataset.usable if not dataset.given or entry.given_side == "train"]


def _check_can_be_split(dataset: Dataset) -> None:
    """Check that each class can have a training photo; a photo without a fixed side counts as one.

    Raises:
        PhotosError: all photos of a class have fixed sides, and none of these is train.
    """
    kept, usable = dataset.kept_sides, dataset.usable
    if dataset.given or kept:
        sides = [entry.given_side if dataset.given else kept.get(entry.content, "train") for entry in usable]
        entries = [replace(entry, side=side) for entry, side in zip(usable, sides, strict=True)]
        check_split(replace(dataset.manifest, entries=entries))


def apply_decisions_file(manifest: Manifest, file: Path) -> tuple[str, ...]:
    """Apply the user's decisions to the photos, and return notes for the screen.

    Raises:
        PhotosError: the file of decisions is invalid.
    """
    decisions = read_decisions(file)
    notes = apply_decisions(manifest, decisions, file)
    verbs = Counter(decision.action for decision in decisions)
    done = f"{verbs['drop']:,} dropped, {verbs['relabel']:,} relabeled, {verbs['keep']:,} kept"
    return (f"{file.name}: {done}", *notes)


def expects_validation_photos(dataset: Dataset, config: TrainConfig) -> bool:
    """Return whether the split will give validation photos to a training in epochs."""
    return bool(dataset.given) or config.split[1] > 0 or "validation" in dataset.kept_sides.values()


def assign_sides(dataset: Dataset, config: TrainConfig) -> tuple[str, ...]:
    """Assign every usable photo to its side of the split, and return notes for the screen.

    Call it once, after duplicates have been detected and damaged photos left out.

    Raises:
        PhotosError: a class has no training photo.
    """
    usable = dataset.usable
    if dataset.given:
        notes = use_given_sides(dataset.manifest)
        check_split(dataset.manifest)
        return notes
    split = split_by_content(
        usable,
        seed=config.split_seed,
        fractions=config.split,
        keep=dataset.kept_sides,
        groups=dataset.duplicate_group,
    )
    dataset.manifest.assign_sides(split.sides)
    check_split(dataset.manifest)
    return split.notes


def print_sides(dataset: Dataset, notes: Sequence[str], recipe: RecipeName, screen: Screen) -> None:
    """Print how many photos are on each side, and by which rule."""
    if dataset.small and recipe in ("linear-probe", "auto"):
        screen.line(
            "split",
            "no test set; every photo is scored by cross-validation",
            f"(fewer than {SMALL:,} photos)",
        )
        if recipe == "linear-probe":
            return
    counts = Counter(entry.side for entry in dataset.usable)
    sides = [f"{side} {counts[side]:,}" for side in SIDES if counts[side]]
    how = "as given" if dataset.given else "by content; a photo keeps its side as you add more"
    label = "compare" if dataset.small and recipe == "auto" else "split"
    screen.line(label, " · ".join(sides), f"({how})")
    for note in notes:
        screen.line("", note)


def _print_photos(dataset: Dataset, roots: Sequence[Path], screen: Screen) -> None:
    entries = dataset.manifest.entries
    unusable = [entry for entry in entries if entry.status == "put aside"]
    parts = [f"{len(dataset.usable):,} photos", f"{len(dataset.classes):,} classes"]
    if unusable:
        parts.append(f"{len(unusable):,} unusable ({_first(unusable)})")
    parts += describe_skipped(entries)
    screen.line("photos", " · ".join(parts), ", ".join(map(shown, roots)))


def _print_own_weights(own: OwnWeights, dataset: Dataset, recipe: RecipeName, screen: Screen) -> None:
    """Print which classifier the run starts from, and which photos keep their side."""
    state = "trained on photos" if own.trained else "as it was pretrained"
    screen.line("weights", f"the backbone of {own.run or own.file}, {state}")
    if recipe in ("linear-probe", "auto"):
        screen.line("", "its head is not taken over: the linear probe is solved again on its features")
    elif not own.held_back:
        screen.line("", "its head is not taken over: no photos were held back from it to test the result")
    kept = sum(entry.content in dataset.kept_sides for entry in dataset.usable)
    if kept:
        screen.line("", f"{counted(kept, 'photo')} of that run keep their side; the others are assigned now")
    elif own.trained and not dataset.given:
        screen.warn(
            "photos that it was trained on may be among the test photos, so that the accuracy is too high: "
            "name its run folder, which lists them"
        )


def _first(entries: Sequence[Entry]) -> str:
    more = f"; and {len(entries) - 1:,} more, see manifest.csv" if len(entries) > 1 else ""
    return f"{entries[0].name}: {entries[0].why}{more}"


def leave_out(manifest: Manifest, failed: Sequence[tuple[Entry, str]], screen: Screen) -> None:
    """Leave out photos that could not be decoded, and warn of them once.

    Args:
        manifest: the manifest; their status in it is changed.
        failed: photos, each with the reason.
        screen: where the warning goes.
    """
    for entry, why in failed:
        manifest.set_aside(entry, why)
    if failed:
        screen.warn(f"{len(failed):,} unusable ({_first([entry for entry, _ in failed])})")


def _earlier_sides(run: Path) -> dict[str, Side]:
    manifest = Manifest.read(open_run_folder(run).manifest)
    return {entry.content: entry.side for entry in manifest.usable if entry.side is not None}
