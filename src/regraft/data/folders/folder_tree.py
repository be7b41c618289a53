"""The tree of a folder of photos, two levels deep: its folders, and the photos below each folder in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from regraft.data.folders.walk import NamedPath
from regraft.data.side_words import FILLER_WORDS, words_of


@dataclass(slots=True)
class Branch:
    """A folder: the photos directly in it, and the photos below each of its folders, by name relative to the root."""

    loose: list[NamedPath] = field(default_factory=list)
    below: dict[str, list[NamedPath]] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, photos: Iterable[NamedPath]) -> Branch:
        """Return the branch of the folder ``name``, given all photos below it."""
        branch = cls()
        for full, path in photos:
            inner, separator, _ = full[len(name) + 1 :].partition("/")
            where = branch.below.setdefault(f"{name}/{inner}", []) if separator else branch.loose
            where.append((full, path))
        return branch

    @property
    def any(self) -> bool:
        """True if there are photos in it or below it."""
        return bool(self.loose) or self.nested

    @property
    def nested(self) -> bool:
        """True if a folder in it has photos."""
        return any(self.below.values())

    @property
    def all(self) -> list[NamedPath]:
        """All photos, in name order."""
        return sorted(self.loose + [photo for photos in self.below.values() for photo in photos])

    @property
    def class_folders(self) -> bool:
        """True if its photos are in two or more folders, and few are directly in it."""
        inside = sum(map(len, self.below.values()))
        return 4 * len(self.loose) <= inside and sum(map(bool, self.below.values())) > 1

    @property
    def inner_names(self) -> dict[str, str]:
        """The last part of the name of each of its folders that has photos, in lower case, as a set with the name."""
        names = (last_part(full) for full, photos in self.below.items() if photos)
        return {name.casefold(): name for name in names}

    def tree(self) -> Tree:
        """Return the folders in it as a tree of their own."""
        return {full: Branch.of(full, photos) for full, photos in self.below.items()}


Tree: TypeAlias = dict[str, Branch]
"""The folders in a folder, by name relative to the root."""


def last_part(name: str) -> str:
    """Return the last part of a name relative to the root: the folder's own name."""
    return name.rpartition("/")[2]


def filled(tree: Mapping[str, Branch]) -> Tree:
    """Return the folders that have photos in them or below them."""
    return {name: branch for name, branch in tree.items() if branch.any}


def shared_inner_names(tree: Mapping[str, Branch]) -> list[str]:
    """Return the names of folders that two or more folders contain, if these are most of the names in each folder.

    Returns:
        Two names or more, in order; an empty list if the folders do not have the same folders in them, or if a folder
        has photos directly in it.
    """
    if len(tree) < 2 or not all(branch.class_folders for branch in tree.values()):
        return []
    inner = {name: branch.inner_names for name, branch in tree.items()}
    common = {
        folded: written
        for name, names in inner.items()
        for folded, written in names.items()
        if any(folded in others for other, others in inner.items() if other != name)
    }
    mostly = all(2 * len(names.keys() & common.keys()) > len(names) for names in inner.values())
    return sorted(common.values()) if len(common) > 1 and mostly else []


_PARTS = """part parts fold batch chunk group subset series session day week month year round run site source lot shard
patient subject person participant user plant house location farm field plot plate slide mouse animal scan camera cam
teil partie parte lote serie tag jahr"""
_PART_WORDS = frozenset(_PARTS.split())


def are_parts(names: Iterable[str], *, of_anything: bool = False) -> bool:
    """Return whether names only count: ``fold1`` and ``fold2``, ``set_a`` and ``set_b``, ``2023`` and ``2024``.

    Args:
        names: names of folders.
        of_anything: whether any word may be counted, such as ``writer1`` and ``writer2``.
    """
    stems = set()
    counts = set()
    for name in names:
        words = words_of(last_part(name))
        stems.add(tuple(word for word in words if not _is_count(word)))
        counts.add(tuple(word for word in words if _is_count(word)))
    stem = stems.pop() if len(stems) == 1 else None
    if stem is None or () in counts or len(counts) < 2:
        return False
    years = all(len(count[0]) == 4 and count[0].isdigit() for count in counts)
    return of_anything or stem[-1] in _PART_WORDS | FILLER_WORDS if stem else years


def _is_count(word: str) -> bool:
    return word.isdigit() or (len(word) == 1 and word.isascii())
