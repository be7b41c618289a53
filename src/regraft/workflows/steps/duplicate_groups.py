"""The groups of photos that a split must not divide: duplicates, near-duplicates and the user's groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from regraft.audit.checks import duplicates
from regraft.audit.duplicates import Duplicates, detect_duplicates
from regraft.audit.grouping import DECODED_RULES, check_grouping, user_groups
from regraft.audit.photo_stats_store import PhotoStatsStore, PhotoStatsTable
from regraft.audit.subject import Subject
from regraft.context.commands import check_command
from regraft.context.config import TrainConfig
from regraft.context.dataset import Dataset, divisible
from regraft.context.decisions import Event, Line
from regraft.context.network_features import NetworkFeatures, no_longer_readable
from regraft.data.manifest import Entry, Manifest
from regraft.process import release_freed_memory
from regraft.text import counted


@dataclass(frozen=True)
class DuplicateGroups:
    """Photos that a split must not divide.

    Attributes:
        subject: the photos with their stats, features and duplicates, as the checks of `regraft.audit` take them.
        check: the command that shows them.
    """

    subject: Subject
    check: str

    @property
    def copies(self) -> Duplicates:
        """The duplicates and near-duplicates."""
        return self.subject.duplicates

    def capture_times(self) -> dict[str, float]:
        """Return the capture time in seconds by content hash, for photos whose files contain one."""
        pairs = zip(self.subject.entries, self.subject.photo_stats, strict=True)
        return {entry.content: stats.captured_at for entry, stats in pairs if math.isfinite(stats.captured_at)}

    def event(self) -> Event:
        """Return the event for the journal."""
        copies = self.copies
        facts = {
            "files": len(copies.by_bytes),
            "pixels": len(copies.by_pixels),
            "near_copies": len(copies.near.pairs),
            "groups": len(set(copies.groups.values())),
        }
        return Event("copies", facts)

    def line(self) -> Line | None:
        """Return the line for the screen: how many photos are duplicates."""
        groups = len(set(self.copies.groups.values()))
        parts = [f"{counted(len(self.copies.by_bytes), 'set')} of exact copies"] if self.copies.by_bytes else []
        if groups:
            parts.append(f"{counted(groups, 'group')} of near-copies")
        if not parts:
            return None
        what = "on the sides of the given split" if self.subject.split_given else "kept on one side"
        return Line("copies", f"{' · '.join(parts)} {what}", self._check_command)

    def warnings(self, *, fix_leaks: bool) -> list[str]:
        """Return warnings about duplicates that distort a result.

        Args:
            fix_leaks: whether duplicates of test and validation photos will be left out of training.
        """
        warnings = []
        conflicting = duplicates.find_conflicting_labels(self.subject)
        if conflicting:
            pictures = counted(len(conflicting), "picture has", "pictures have")
            first = " and ".join(conflicting[0].photos[:2])
            warnings.append(f"{pictures} two different labels ({first})  {self._check_command}")
        leaks = duplicates.find_leaks(self.subject)
        if leaks and not fix_leaks:
            pictures = counted(len(leaks), "picture appears", "pictures appear")
            warnings.append(
                f"{pictures} in more than one part of your split, so accuracy will look too high (see --fix-leaks)"
            )
        return warnings

    @property
    def _check_command(self) -> str:
        return f"→ {self.check}"


def group_duplicates(
    dataset: Dataset, config: TrainConfig, features: NetworkFeatures, stats: PhotoStatsTable
) -> DuplicateGroups:
    """Return the groups of photos that belong together; write the user's groups into the entries.

    Args:
        dataset: the photos; all of them can be decoded.
        config: the configuration, for ``group_by``.
        features: of the first frozen network.
        stats: photo stats of all usable photos.

    Raises:
        ConfigError: the rule of ``group_by`` is invalid, or matches no photo.
    """
    entries = dataset.usable
    values = features.of(entries)
    if config.group_by is not None:
        groups = user_groups(config.group_by, entries, stats, config.selection, features=values)
        apply_user_groups(groups, entries)
        if config.group_by in DECODED_RULES:
            check_grouping(config.group_by, divisible(dataset), {})
    rendering = features.backbone.spec.preprocessing.rendering
    copies = detect_duplicates(
        entries,
        values,
        stats,
        store=features.store,
        workers=features.workers,
        rendering=rendering,
        warn=features.screen.warn,
    )
    release_freed_memory()
    subject = Subject(
        dataset.manifest, dataset.classes, entries, stats, values, copies, split_given=bool(dataset.given)
    )
    return DuplicateGroups(subject, check_command(vars(config)))


def photo_stats_of(stats: PhotoStatsStore, entries: Sequence[Entry], workers: int) -> PhotoStatsTable:
    """Return the stats of each photo; every photo must have been decoded before.

    Raises:
        PhotosError: a photo has changed or disappeared.
    """
    table = stats.get(entries, workers)
    for i in table.missing:
        raise no_longer_readable(entries[i])
    return table


def apply_user_groups(groups: dict[str, str], entries: Sequence[Entry]) -> None:
    """Write the user's groups, by name of the photo, into the entries; a group from a CSV is not replaced."""
    for entry in entries:
        if entry.group is None:
            entry.group = groups.get(entry.name)


def leave_out_leaks(manifest: Manifest, subject: Subject) -> tuple[str, ...]:
    """Leave out training photos that are duplicates of photos on another side, and return notes for the screen."""
    names = set(duplicates.leaked_train_photos(subject))
    for entry in subject.entries:
        if entry.name in names:
            manifest.set_aside(entry, "left out: a copy of it is on another side (--fix-leaks)")
    if not names:
        return ()
    return (f"{counted(len(names), 'photo')} of train left out: copies of photos on another side",)
