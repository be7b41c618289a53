"""Labels in shards of WebDataset: tar archives with ``key.jpg`` and ``key.cls`` or ``key.json`` for each sample.

The key of a member is its name up to the first dot after the last ``/``; https://github.com/webdataset/webdataset.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import PurePosixPath

from regraft.data.archives.members import Members
from regraft.data.file_types import PHOTO_SUFFIXES
from regraft.data.side_words import side_of_value
from regraft.data.tables.cells import cell_text, column_key
from regraft.data.tables.column_words import LABEL_RANKS
from regraft.data.tables.table import Row, Table
from regraft.errors import PhotosError
from regraft.text import counted, shorten

_LABELS, _JSON = ("cls", "cls.txt", "json"), ".json"
_SHOWN = 5


def is_shard(names: Iterable[str]) -> bool:
    """Return whether an archive with these members is a shard: a photo and its class or JSON have the same key."""
    listed = set(names)
    return any(_label_member(name, listed) for name in listed if _is_photo(name))


def shard_table(members: Members, names: Iterable[str], table: Table, label: str | None = None) -> Table:
    """Return the labels of the samples in a shard.

    Args:
        members: the open archive.
        names: the names of its members.
        table: name, title and folder of the archive.
        label: the field of the JSON with the class, or None to recognize it.

    Raises:
        PhotosError: two members have one name, a sample has several photos, or several fields could be the class.
        OSError: a member cannot be read.
    """
    if not members.complete:
        raise PhotosError(
            f"{table.title}: the shard is cut off: it has no mark of its end, so samples may be missing\n"
            "  copy or download it again"
        )
    if members.repeated:
        repeated = counted(len(members.repeated), "name", "names")
        raise PhotosError(
            f"{table.title}: {repeated} of several members: {shorten(members.repeated, _SHOWN)}\n"
            "  expected a key for each sample; write the shard again with different keys"
        )
    listed = set(names)
    photos = sorted(filter(_is_photo, listed))
    ends = _LABELS if label is None else _LABELS[::-1]
    labels = {photo: _label_member(photo, listed, ends) for photo in photos}
    _check_one_photo(labels, table)
    rows: list[Row] = [
        (number, [photo, "" if member is None else _label(members, member, label, table)])
        for number, (photo, member) in enumerate(labels.items(), start=1)
    ]
    return table.with_labels(rows, [], "photo")


def _is_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES


def _label_member(photo: str, names: AbstractSet[str], ends: Sequence[str] = _LABELS) -> str | None:
    """Return the member with the class of a photo, or None.

    It has the photo's name with another suffix, or the name up to the first dot: keys such as ``22.05`` have dots, and
    so have extensions such as ``left.jpg``.
    """
    folder, slash, last = photo.rpartition("/")
    stems = (photo.rpartition(".")[0], f"{folder}{slash}{last.partition('.')[0]}")
    return next((f"{stem}.{end}" for stem in stems for end in ends if f"{stem}.{end}" in names), None)


def _check_one_photo(labels: Mapping[str, str | None], table: Table) -> None:
    """Check that each class belongs to one photo.

    Raises:
        PhotosError: a class belongs to several.
    """
    photos: dict[str, list[str]] = defaultdict(list)
    for photo, member in labels.items():
        if member is not None:
            photos[member].append(photo)
    several = [f"{member} ({', '.join(named)})" for member, named in photos.items() if len(named) > 1]
    if several:
        raise PhotosError(
            f"{table.title}: {counted(len(several), 'sample has', 'samples have')} several photos: "
            f"{shorten(several, _SHOWN)}\n  expected one photo for each key; write shards with the one to use"
        )


def _label(members: Members, member: str, field: str | None, table: Table) -> str:
    """Return the class in a member: its text, or a field of its JSON; "" if it has none."""
    data = members.read(member)
    if not member.endswith(_JSON):
        return data.decode("utf-8", "replace").strip()
    try:
        value = json.loads(data)
    except ValueError as error:
        raise PhotosError(f"{table.title}: {member} is not JSON ({error})") from error
    fields = value if isinstance(value, dict) else {"label": value}
    if field is not None:
        return cell_text(fields.get(field))
    keys = {name: column_key(str(name)) for name in fields}
    ranked = sorted((LABEL_RANKS[key], name) for name, key in keys.items() if key in LABEL_RANKS)
    best = [name for rank, name in ranked if rank == ranked[0][0]]
    if len(best) > 1:
        raise PhotosError(
            f"{table.title}: the class of {member} could be in {' or '.join(map(repr, best))}\n"
            "  --label-column NAME says which"
        )
    return cell_text(fields[best[0]]) if best else ""


def side_of_shard(name: str) -> str:
    """Return the word for the side in the name of a shard, such as ``train`` of ``ants-train-000000.tar``, or ""."""
    words = [word for word in re.split(r"[-_. ]+", name) if word and side_of_value(word)]
    return words[0] if len(words) == 1 else ""
