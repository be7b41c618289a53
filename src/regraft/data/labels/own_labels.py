"""Labels that are stored with the photos: in data sets, in shards of WebDataset, and in exports of CVAT.

Other roots have none: their folders, the names of their photos, or a table tell the labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from regraft.data.archives.address import address_of, shown
from regraft.data.archives.archive import archive_of, open_archive
from regraft.data.archives.members import Members
from regraft.data.file_types import read_regular
from regraft.data.folders.listing import list_root
from regraft.data.folders.walk import NamedPath
from regraft.data.labels.cvat import CVAT_FILE, cvat_table, datumaro_table, is_cvat, is_datumaro, parsed_json
from regraft.data.labels.webdataset import is_shard, shard_table, side_of_shard
from regraft.data.tables.columns import ColumnNames
from regraft.data.tables.table import Row, Table
from regraft.errors import PhotosError
from regraft.text import shorten

_SHARD = ".tar"
_DATUMARO_FOLDER = "annotations"
_TRIED = 200


@dataclass(frozen=True)
class OwnLabels:
    """The labels of a root.

    Attributes:
        table: a row for each photo, named relative to the root.
        photos: the photos, by the names in the table.
    """

    table: Table
    photos: tuple[NamedPath, ...]


def own_labels(root: Path, named: ColumnNames) -> OwnLabels | None:
    """Return the labels that are stored with the photos of a root, or None.

    Args:
        root: a folder, an archive, a saved data set, or an address.
        named: the column or the field of the labels, where the user names it.

    Raises:
        PhotosError: the root is damaged, or its labels are ambiguous.
        MissingExtraError: a package that reads it is not installed.
    """
    archive = archive_of(root)
    if archive is None:
        return (_of_shards(root, named) or _of_annotations(root)) if _is_folder(root) else None
    if address_of(root) is not None and archive != root and root.suffix != _SHARD:
        return None  # storage of objects is not searched: each look takes as long as a photo
    members = open_archive(archive)
    table = members.labels(named.label)
    if table is not None:
        return _below(table, archive, root)
    if archive != root:
        return None
    names = [name for name, reason in members.below("") if not reason]
    if archive.suffix.lower() == _SHARD and is_shard(names[:_TRIED]):
        return _of_shard(members, names, root, named)
    return _of_annotations(root)


def _is_folder(root: Path) -> bool:
    try:
        return root.is_dir()
    except (OSError, ValueError):  # listing the root reports it
        return False


def _below(table: Table, archive: Path, root: Path) -> OwnLabels:
    """Return the rows of photos below ``root``, which is the archive or a folder in it."""
    inside = "" if root == archive else f"{root.relative_to(archive).as_posix()}/"
    rows: list[Row] = [
        (line, [cells[0].removeprefix(inside), *cells[1:]]) for line, cells in table.rows if cells[0].startswith(inside)
    ]
    return OwnLabels(replace(table, rows=rows), tuple((cells[0], root / cells[0]) for _, cells in rows))


def _of_shard(members: Members, names: Iterable[str], root: Path, named: ColumnNames) -> OwnLabels:
    try:
        table = shard_table(members, names, Table(root.name, shown(root), root, 0, [], []), named.label)
    except OSError as error:
        raise PhotosError(f"{shown(root)}: cannot be read: {error.strerror or error}") from error
    return _below(table, root, root)


def _of_shards(root: Path, named: ColumnNames) -> OwnLabels | None:
    """Return the labels of a folder of shards, or None if it has other folders or photos."""
    try:
        inside = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    except OSError:
        return None
    shards = [path for path in inside if path.suffix.lower() == _SHARD and path.is_file()]
    if not shards or any(path.is_dir() for path in inside):
        return None
    parts = {shard: own_labels(shard, named) for shard in shards}
    without = [shard.name for shard, part in parts.items() if part is None]
    if len(without) == len(shards):
        return None
    if without:
        raise PhotosError(
            f"{root}: {shorten(without)} has no samples with a photo and a class, unlike the other shards"
        )
    return joined({shard.name: part for shard, part in parts.items() if part is not None}, root)


def joined(parts: Mapping[str, OwnLabels], root: Path) -> OwnLabels:
    """Return the labels of several roots as one table.

    Args:
        parts: the labels by the first part of the names of the photos.
        root: for messages.

    Raises:
        PhotosError: the tables have different columns.
    """
    headers = {tuple(part.table.header) for part in parts.values()}
    if len(headers) > 1:
        raise PhotosError(f"{shown(root)}: the parts have different columns: {' and '.join(map(str, sorted(headers)))}")
    sides = {first: side_of_shard(first) for first in parts}
    has_sides = len(set(sides.values())) > 1 and all(sides.values())
    first_part = next(iter(parts.values())).table
    header = [*first_part.header, "split"] if has_sides and "split" not in first_part.header else first_part.header
    more = {first: [side] if len(header) > len(first_part.header) else [] for first, side in sides.items()}
    rows: list[Row] = [
        (line, [f"{first}/{cells[0]}", *cells[1:], *more[first]])
        for first, part in parts.items()
        for line, cells in part.table.rows
    ]
    photos = tuple((f"{first}/{name}", path) for first, part in parts.items() for name, path in part.photos)
    notes = tuple(note for part in parts.values() for note in part.table.notes)
    table = replace(first_part, name=root.name, title=shown(root), header=header, rows=rows, notes=notes)
    return OwnLabels(table, photos)


def _of_annotations(root: Path) -> OwnLabels | None:
    """Return the labels of an export of CVAT, a folder or an archive, or None if it is something else."""
    empty = Table(root.name, shown(root), root, 0, [], [])
    data = _read(root / CVAT_FILE)
    if data is not None and is_cvat(data):
        return _found(cvat_table(data, replace(empty, name=CVAT_FILE)), list_root(root, None).photos())
    listed = _annotation_files(root)
    tables = dict[str, Table]()
    for file in listed:
        value = parsed_json(_read(file) or b"")
        if is_datumaro(value):
            tables[file.stem] = datumaro_table(value, replace(empty, name=file.name), file.stem)
    if not tables:
        return None
    several = len(tables) > 1
    rows = [
        (line, [*cells, *([split] if several else [])]) for split, table in tables.items() for line, cells in table.rows
    ]
    notes = [note for table in tables.values() for note in table.notes]
    return _found(empty.with_labels(rows, notes, "picture"), list_root(root, None).photos())


def _annotation_files(root: Path) -> list[Path]:
    archive = archive_of(root)
    if archive is None:
        try:
            return sorted((root / _DATUMARO_FOLDER).glob("*.json"))
        except OSError:  # listing the root reports it
            return []
    names = [name for name, _ in open_archive(archive).below(_DATUMARO_FOLDER) if archive == root]
    return [root / _DATUMARO_FOLDER / name for name in names if name.endswith(".json") and "/" not in name]


def _read(file: Path) -> bytes | None:
    try:
        return read_regular(file)
    except OSError:
        return None


def _found(table: Table, photos: Iterable[NamedPath]) -> OwnLabels:
    """Return the table with the names that the photos have in the root: exports put them into folders of their own."""
    listed = tuple(photos)
    endings: dict[str, list[str]] = {}
    for name, _ in listed:
        parts = name.split("/")
        for i in range(len(parts)):
            endings.setdefault("/".join(parts[i:]), []).append(name)
    rows: list[Row] = []
    for line, cells in table.rows:
        split = cells[2] if len(cells) > 2 else ""
        matches = endings.get(cells[0], [])
        inside = [name for name in matches if split and f"/{split}/" in f"/{name}"] or matches
        rows.append((line, [inside[0] if len(inside) == 1 else cells[0], *cells[1:]]))
    return OwnLabels(replace(table, rows=rows), listed)
