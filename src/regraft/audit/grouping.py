"""User-defined groups of photos that a split keeps together, such as one house, one patient or one burst."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regraft.audit.look_groups import look_groups
from regraft.audit.photo_order import LOOK_RULE, NUMBER_RULE, TIME_RULE, blocks_of, number_order, time_order
from regraft.audit.photo_stats import PhotoStats
from regraft.data.folders.photo_finder import PhotoFinder
from regraft.data.labels.label_files import read_labels
from regraft.data.labels.table_labels import column_of_photos
from regraft.data.manifest import Entry
from regraft.data.selection import PhotoSelection
from regraft.errors import ConfigError
from regraft.text import shorten

BURST_RULE = "exif-burst"
"""The rule of bursts."""

DECODED_RULES = (BURST_RULE, TIME_RULE, NUMBER_RULE, LOOK_RULE)
"""Rules that need decoded photos, their stats or their features."""

BURST_SECONDS = 10.0
"""Maximum seconds between consecutive photos of a burst."""

RULES = "parent, exif-burst, time, number, look, column:NAME, or a regular expression on the path"


def user_groups(
    rule: str,
    entries: Sequence[Entry],
    photo_stats: Sequence[PhotoStats],
    chosen: PhotoSelection | None = None,
    *,
    features: NDArray[np.float32] | None = None,
) -> dict[str, str]:
    """Return photo name to group; photos to which the rule does not apply are missing.

    Args:
        rule: ``"parent"``: the folder of the photo; ``"exif-burst"``: photos of one folder that follow each other
            within `BURST_SECONDS` by the camera's clock; ``"time"``, ``"number"``: up to ten blocks of consecutive
            photos of a class by capture time, or by folder and name; ``"look"``: photos of a class that look as if
            they were taken together; ``"column:NAME"``: a column of the CSV of labels; otherwise a regular expression
            for the path, whose first group, or whole match if it has no group, is the group's name.
        entries: the photos.
        photo_stats: their stats; used for the `DECODED_RULES` only.
        chosen: the photos and labels that the user chose, for the CSV of ``"column:NAME"``.
        features: shape (n, d), for ``"time"``, ``"number"`` and ``"look"``.

    Raises:
        ConfigError: the rule is invalid, or applies to no photo.
        PhotosError: the CSV is unreadable or does not have the column.
    """
    groups: Mapping[str, str]
    if rule == "parent":
        groups = {entry.name: entry.name.rpartition("/")[0] for entry in entries}
    elif rule == BURST_RULE:
        groups = _bursts(entries, photo_stats)
    elif rule in DECODED_RULES and features is not None:
        groups = _series(rule, entries, photo_stats, features)
    elif rule.startswith("column:"):
        groups = _column(rule.removeprefix("column:"), chosen, entries)
    else:
        groups = _matched(rule, entries)
    names = {entry.name for entry in entries}
    result = {name: group for name, group in groups.items() if group and name in names}
    if not result:
        raise ConfigError(f"group_by: {rule!r} matches none of the {len(entries):,} photos; expected {RULES}")
    return result


@dataclass(frozen=True)
class GroupingProblem:
    """Groups with which a class cannot be both learned and tested.

    Attributes:
        text: the problem, in words.
        fatal: whether this concerns half of the classes or more.
    """

    text: str
    fatal: bool


def grouping_problem(entries: Sequence[Entry], groups: Mapping[str, str]) -> GroupingProblem | None:
    """Return why groups prevent that classes are learned and tested, or None.

    Args:
        entries: the photos that may be divided into training and other photos.
        groups: photo name to group; an entry with a group of its own is not looked up.
    """
    units: dict[str, set[tuple[str, str]]] = defaultdict(set)
    contents: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        group = entry.group or groups.get(entry.name)
        units[entry.label].add(("group", group) if group else ("content", entry.content))
        contents[entry.label].add(entry.content)
    single = [label for label in sorted(units) if len(units[label]) == 1 and len(contents[label]) > 1]
    if not single:
        return None
    if len(set().union(*units.values())) == 1:
        return GroupingProblem(f"all {len(entries):,} photos are in one group, so none can be kept for a test", True)
    names = shorten(single)
    if len(single) > 1:
        text = (
            f"all photos of classes {names} are in one group each, which is never divided, "
            f"so each would be learned or tested, but not both"
        )
    else:
        text = (
            f"all photos of class {names} are in one group, which is never divided, "
            f"so it would be learned or tested, but not both"
        )
    return GroupingProblem(text, 2 * len(single) >= len(units))


def check_grouping(rule: str | None, entries: Sequence[Entry], groups: Mapping[str, str]) -> str:
    """Check that most classes have photos of several groups.

    Args:
        rule: the rule of the groups, or None if they are in the CSV of labels.
        entries: the photos, as for `grouping_problem`.
        groups: photo name to group.

    Returns:
        A warning about the other classes, or an empty string.

    Raises:
        ConfigError: learning is impossible with these groups.
    """
    problem = grouping_problem(entries, groups)
    if problem is None:
        return ""
    source = "the column group of the CSV" if rule is None else f"--group-by {rule}"
    if problem.fatal:
        raise ConfigError(
            f"{source}: {problem.text}\n  expected   groups that are smaller than a class, such as one person, plant, "
            "camera or day\n  leave the groups out if there are none: photos of one class are not a group"
        )
    return f"{source}: {problem.text}"


def _matched(rule: str, entries: Sequence[Entry]) -> dict[str, str]:
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise ConfigError(f"group_by: {rule!r} is not a regular expression ({error}); expected {RULES}") from None
    matches = {entry.name: pattern.search(entry.name) for entry in entries}
    return {name: (m[1] or "") if pattern.groups else m[0] for name, m in matches.items() if m}


def _bursts(entries: Sequence[Entry], photo_stats: Sequence[PhotoStats]) -> dict[str, str]:
    timed = sorted(
        (entry.name.rpartition("/")[0], stats.captured_at, entry.name)
        for entry, stats in zip(entries, photo_stats, strict=True)
        if math.isfinite(stats.captured_at)
    )
    groups: dict[str, str] = {}
    last = ("", -math.inf, "")
    for folder, taken, name in timed:
        near = folder == last[0] and taken - last[1] <= BURST_SECONDS
        groups[name] = groups[last[2]] if near else f"burst {name}"
        last = (folder, taken, name)
    return groups


def _series(
    rule: str, entries: Sequence[Entry], photo_stats: Sequence[PhotoStats], features: NDArray[np.float32]
) -> dict[str, str]:
    """Return photo name to group by the rules of photos in series."""
    labels = [entry.label for entry in entries]
    if rule == LOOK_RULE:
        groups = look_groups(features, labels)
    else:
        order = (
            time_order(entries, [stats.captured_at for stats in photo_stats])
            if rule == TIME_RULE
            else number_order(entries)
        )
        if order is None:
            wanted = "a capture time in its Exif" if rule == TIME_RULE else "a number in its name"
            raise ConfigError(f"group_by: {rule!r} expects {wanted} in nine of ten photos; expected {RULES}")
        groups = blocks_of(order, labels, features)
    return {entry.name: group for entry, group in zip(entries, groups, strict=True)}


def _column(column: str, chosen: PhotoSelection | None, entries: Sequence[Entry]) -> Mapping[str, str]:
    if chosen is None or chosen.labels is None:
        raise ConfigError("group_by: column:NAME needs the CSV of labels (--labels)")
    named = [(entry.name, entry.path) for entry in entries]
    table = read_labels(chosen.labels, chosen.columns)
    bases = (chosen.table_folder or table.folder, Path.cwd())
    finder = PhotoFinder({"": Path()}, bases, lambda: named, elsewhere=True)
    return column_of_photos(table, column, finder, chosen.columns)
