"""Classes of pictures in exports of CVAT: "CVAT for images" (XML) and Datumaro (JSON).

https://docs.cvat.ai/docs/manual/advanced/formats/ describes both. Classes are tags of whole pictures; boxes and other
shapes are not read.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from regraft.data.folders.folder_tree import Tree
from regraft.data.folders.walk import Skipped
from regraft.data.tables.table import Row, Table
from regraft.errors import PhotosError
from regraft.text import counted, shorten

CVAT_FILE = "annotations.xml"
"""Name of the file in an export of CVAT for images."""

_IMAGENET_CLASSES, _IMAGENET_UNLABELED = "synsets.txt", "no_label"
_HEAD = 1000
_SHOWN = 5


@dataclass(frozen=True)
class _Picture:
    """A picture of an export.

    Attributes:
        name: its name.
        classes: its classes.
        split: its subset, or "".
    """

    name: str
    classes: tuple[str, ...]
    split: str


def is_cvat(data: bytes) -> bool:
    """Return whether a file is an export of CVAT for images, by its content."""
    head = data[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n")
    return head.startswith((b"<?xml", b"<annotations")) and b"<annotations" in head


def is_datumaro(value: Any) -> bool:
    """Return whether the content of a JSON file is that of Datumaro."""
    return (
        isinstance(value, dict) and isinstance(value.get("categories"), dict) and isinstance(value.get("items"), list)
    )


def cvat_table(data: bytes, table: Table) -> Table:
    """Return the classes in an export of CVAT for images.

    Args:
        data: the content of the file.
        table: name, title and folder of the file.

    Raises:
        PhotosError: it is damaged, has no tags, or a picture has several.
    """
    try:
        root = ET.fromstring(data)  # noqa: S314 (expat limits the expansion of entities)
    except ET.ParseError as error:
        raise PhotosError(f"{table.title}: the XML is damaged or cut off ({error})") from error
    pictures = [
        _Picture(
            image.get("name", ""),
            tuple(dict.fromkeys(tag.get("label", "") for tag in image.iter("tag"))),
            image.get("subset", ""),
        )
        for image in root.iter("image")
    ]
    shapes = sum(child.tag != "tag" for image in root.iter("image") for child in image)
    if root.find("track") is not None and not pictures:
        raise PhotosError(f"{table.title}: an export of CVAT for video\n  expected   the format CVAT for images 1.1")
    return _table(pictures, table, shapes, "tag")


def datumaro_table(value: Any, table: Table, split: str = "") -> Table:
    """Return the classes in a JSON file of Datumaro.

    Args:
        value: the content of the file.
        table: name, title and folder of the file.
        split: the subset that the file has, or "".

    Raises:
        PhotosError: it is damaged, has no labels, or a picture has several.
    """
    try:
        names = [str(label["name"]) for label in value["categories"]["label"]["labels"]]
        items = list(value["items"])
        pictures = [_Picture(_item_name(item), tuple(_item_classes(item, names)), split) for item in items]
        shapes = sum(one.get("type") != "label" for item in items for one in item.get("annotations", ()))
    except (KeyError, TypeError, IndexError) as error:
        raise PhotosError(f"{table.title}: the JSON of Datumaro is damaged ({error!r})") from error
    return _table(pictures, table, shapes, "label")


def _item_name(item: Any) -> str:
    image = item.get("image") or item.get("media") or {}
    return str(image.get("path") or item["id"])


def _item_classes(item: Any, names: Sequence[str]) -> Iterator[str]:
    for one in item.get("annotations", ()):
        if one.get("type") == "label":
            yield names[one["label_id"]]


def _table(pictures: Sequence[_Picture], table: Table, shapes: int, word: str) -> Table:
    several = [f"{one.name} ({', '.join(one.classes)})" for one in pictures if len(one.classes) > 1]
    if several:
        raise PhotosError(
            f"{table.title}: {counted(len(several), 'picture has', 'pictures have')} several {word}s: "
            f"{shorten(several, _SHOWN)}\n  expected one {word} for each picture; remove the others, and export again"
        )
    rows: list[Row] = [
        (number, [one.name, one.classes[0], one.split]) for number, one in enumerate(pictures, start=1) if one.classes
    ]
    if not rows:
        boxes = (
            f", but {counted(shapes, 'shape')}: boxes and polygons have no class of a whole picture" if shapes else ""
        )
        raise PhotosError(f"{table.title}: none of the {len(pictures):,} pictures has a {word}{boxes}")
    notes = []
    if len(rows) < len(pictures):
        left_out = counted(len(pictures) - len(rows), "picture has", "pictures have")
        notes.append(f"{table.name}: {left_out} no {word}, and are left out")
    if shapes:
        notes.append(
            f"{table.name}: {counted(shapes, 'shape is', 'shapes are')} not used; classes are those of {word}s"
        )
    if len({row[2] for _, row in rows}) == 1:  # one subset does not split them
        rows = [(line, row[:2]) for line, row in rows]
    return table.with_labels(rows, notes, "picture")


def without_unlabeled(tree: Tree, skipped: Skipped) -> tuple[Tree, Skipped]:
    """Return class folders without that of the pictures that have no class, in an export of CVAT in ImageNet's format.

    Args:
        tree: the folders of the export.
        skipped: (name, reason) of its other files; the list of classes is among them.

    Returns:
        The other folders, and (name, reason) of each picture that is left out.
    """
    if _IMAGENET_UNLABELED not in tree or _IMAGENET_CLASSES not in {name for name, _ in skipped}:
        return tree, []
    left_out = [(name, "it has no class in CVAT") for name, _ in tree[_IMAGENET_UNLABELED].all]
    return {name: branch for name, branch in tree.items() if name != _IMAGENET_UNLABELED}, left_out


def parsed_json(data: bytes) -> Any:
    """Return the content of a JSON file, or None if it is not one."""
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return None
    try:
        return json.loads(data)
    except ValueError:
        return None
