"""Photos that belong together stay together: copies, near-copies and the user's groups are never parted by a split."""

from __future__ import annotations

from collections.abc import Sequence

from regraft.audit.checks import duplicates
from regraft.audit.duplicates import detect_duplicates
from regraft.audit.grouping import user_groups
from regraft.audit.photo_stats_store import PhotoStatsStore, PhotoStatsTable
from regraft.audit.subject import Subject
from regraft.context.dataset import divide
from regraft.context.run_context import Job
from regraft.data.manifest import Entry, Manifest, check_usable
from regraft.errors import PhotosError
from regraft.process import release_freed_memory


def keep_together(job: Job, looks: PhotoStatsStore) -> tuple[str, ...]:
    """Find out which photos belong together, and divide again so that none of them are parted.

    Returns:
        What is worth saying of the split.

    Raises:
        ConfigError: the rule of ``group_by`` cannot be, or reaches no photo.
        PhotosError: too little is left.
    """
    release_freed_memory()  # what the first pass needed
    entries = job.photos.usable
    photo_stats = all_of(looks, entries, job.workers)
    job.photo_side = photo_stats.median_side
    if job.config.group_by is not None:
        take_groups(user_groups(job.config.group_by, entries, photo_stats, job.config.labels), entries)
    features = job.features(entries)
    copies = detect_duplicates(entries, features, photo_stats, store=job.store, workers=job.workers)
    release_freed_memory()
    job.photos.alike = copies.groups
    given, manifest = bool(job.photos.given), job.photos.manifest
    subject = Subject(manifest, job.photos.classes, entries, photo_stats, features, copies, split_given=given)
    found = {"near_copies": len(copies.near.pairs), "groups": len(set(copies.groups.values()))}
    job.note_once("copies", files=len(copies.by_bytes), pixels=len(copies.by_pixels), **found)
    _say(job, subject)
    notes: tuple[str, ...] = ()
    if given and job.config.fix_leaks:
        notes = leave_out_leaks(manifest, subject)
        check_usable(manifest)
    return (*notes, *divide(job.photos, job.config))


def all_of(looks: PhotoStatsStore, entries: Sequence[Entry], workers: int) -> PhotoStatsTable:
    """Return the stats of each photo, all of which have been decoded before.

    Raises:
        PhotosError: a photo has changed or gone since.
    """
    found = looks.get(entries, workers)
    for i in found.missing:
        raise PhotosError(f"{entries[i].name} could be read before, but not now: do not change photos during a run")
    return found


def take_groups(groups: dict[str, str], entries: Sequence[Entry]) -> None:
    """Give the photos their groups by name; one that a CSV gave stays."""
    for entry in entries:
        if entry.group is None:
            entry.group = groups.get(entry.name)


def leave_out_leaks(manifest: Manifest, subject: Subject) -> tuple[str, ...]:
    """Put the train-side copies of photos on another side aside, and return what is worth saying."""
    names = set(duplicates.leaked_train_photos(subject))
    for entry in subject.entries:
        if entry.name in names:
            manifest.set_aside(entry, "left out: a copy of it is on another side (--fix-leaks)")
    if not names:
        return ()
    return (f"{_counted(len(names), 'photo')} of train left out: copies of photos on another side",)


def _say(job: Job, subject: Subject) -> None:
    """Say in a line how many photos are copies, and warn of what flatters a figure."""
    check = f"→ regraft check {job.config.photos}"
    copies = subject.duplicates
    groups = len(set(copies.groups.values()))
    parts = [f"{_counted(len(copies.by_bytes), 'set')} of exact copies"] if copies.by_bytes else []
    if groups:
        parts.append(f"{_counted(groups, 'group')} of near-copies")
    if parts:
        what = "as the given split has them" if subject.split_given else "kept on one side"
        job.screen.line("copies", f"{' · '.join(parts)} {what}", check)
    twice = duplicates.find_conflicting_labels(subject)
    if twice:
        carry = "picture carries" if len(twice) == 1 else "pictures carry"
        first = " and ".join(twice[0].photos[:2])
        job.screen.warn(f"{len(twice):,} {carry} two labels ({first})  {check}")
    torn = duplicates.find_leaks(subject)
    if torn and not job.config.fix_leaks:
        lie = "picture lies" if len(torn) == 1 else "pictures lie"
        job.screen.warn(f"{len(torn):,} {lie} on two sides of the given split: figures will flatter; see --fix-leaks")


def _counted(n: int, one: str) -> str:
    return f"{n:,} {one}{'' if n == 1 else 's'}"
