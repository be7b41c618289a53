"""Masks in a folder of photos: pictures of a segmentation that mark the pixels of the photo whose name they have.

Two forms are common: ``scan_mask.png`` next to ``scan.png``, and ``masks/scan.png`` next to ``images/scan.png``, also
with folders of classes in both. As photos of their class they would give it away.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from regraft.data.folders.folder_tree import Branch
from regraft.data.folders.listing import Listing
from regraft.data.folders.walk import NamedPath
from regraft.data.side_words import is_generic
from regraft.text import counted

MASK: Final = "a mask of a photo with the same name"
"""Reason of a file that is left out."""

_WORD: Final = r"(?:masks?|seg|segm|segmentations?|ground[ _-]?truths?|gt)"
_AFTER: Final = re.compile(rf"(.+?)[ _.-]+{_WORD}(?:[ _-]?\d+)?", re.IGNORECASE)
_FOLDER: Final = re.compile(_WORD, re.IGNORECASE)


def mask_names(names: Iterable[str]) -> set[str]:
    """Return the names of masks among the names of photos, which are relative to their folder."""
    places = {name: _place(name) for name in names}
    present = set(places.values())
    general = defaultdict(set)
    for folder in {folder for folder, _ in present}:
        for place in _places_of(folder, is_generic):
            general[place].add(folder)
    return {name for name, (folder, stem) in places.items() if _is_mask(folder, stem, present, general)}


def _place(name: str) -> tuple[str, str]:
    """Return the folder and the stem of a photo's name."""
    folder, _, last = name.rpartition("/")
    return folder, last.rpartition(".")[0] or last


def _places_of(folder: str, matches: Callable[[str], object]) -> list[tuple[str, str]]:
    """Return the folders above and below each part of a path whose name matches: those of ``"a/masks/b"``: a and b."""
    parts = folder.split("/")
    return [("/".join(parts[:i]), "/".join(parts[i + 1 :])) for i, part in enumerate(parts) if matches(part)]


def _is_mask(folder: str, stem: str, present: set[tuple[str, str]], general: dict[tuple[str, str], set[str]]) -> bool:
    after = _AFTER.fullmatch(stem)
    if after is not None and (folder, after[1]) in present:
        return True
    stems = {stem} if after is None else {stem, after[1]}
    others = {other for place in _places_of(folder, _FOLDER.fullmatch) for other in general.get(place, ())}
    return any((other, one) in present for other in others for one in stems)


def without_masks(listing: Listing) -> tuple[Listing, list[str]]:
    """Return the photos of a folder without masks, and a note on these."""
    masks = mask_names(name for name, _ in listing.photos())
    if not masks:
        return listing, []

    def rest(photos: Iterable[NamedPath]) -> list[NamedPath]:
        return [photo for photo in photos if photo[0] not in masks]

    tree = {
        name: Branch(rest(branch.loose), {inner: rest(photos) for inner, photos in branch.below.items()})
        for name, branch in listing.tree.items()
    }
    skipped = [*listing.skipped, *((name, MASK) for name in sorted(masks))]
    files = counted(len(masks), "file")
    note = f"masks of photos with the same names are left out: {files}, such as {min(masks)} (to use them, rename them)"
    return replace(listing, tree=tree, loose=tuple(rest(listing.loose)), skipped=skipped), [note]
