"""Data sets of Python on the disk: a table of the files that they name, or an archive of their pictures."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regraft.cache_dir import cache_folder
from regraft.data.decode import as_rgb
from regraft.data.python_datasets import Item, is_dataset, items_of
from regraft.data.tables.data_frame import is_data_frame, stored_frame, stored_rows
from regraft.disk.atomic import make_folder
from regraft.errors import ConfigError
from regraft.inference.pictures import photo_forms
from regraft.screen import Screen
from regraft.text import counted, file_size

_ORIENTATION = 0x0112


def with_stored_dataset(photos: Any, labels: Any, screen: Screen) -> tuple[Any, Any]:
    """Return photos and labels with a data set of Python on the disk in place of ``photos``, if it is one.

    A data frame in place of ``photos`` is a table of labels, whose paths start in the current folder.

    Raises:
        ConfigError: the data set is invalid, or there are labels in addition to it.
        OSError: the archive cannot be written.
    """
    frame = is_data_frame(photos)
    if not frame and not is_dataset(photos):
        return photos, labels
    if labels is not None:
        raise ConfigError(
            "labels: the data set has its own classes; expected it alone, or folders of photos with labels"
        )
    return (Path.cwd(), stored_frame(photos)) if frame else stored_dataset(photos, screen)


def stored_dataset(dataset: Any, screen: Screen) -> tuple[Path, Path]:
    """Return the folder or archive of the photos of a data set, and the table of their labels.

    Files that the data set names stay where they are. Pictures in memory are written to the cache once, so that a run
    can be repeated and resumed.

    Args:
        dataset: see `regraft.data.python_datasets.items_of`.
        screen: where the place of an archive is printed.

    Raises:
        ConfigError: the data set is empty, or an item is not a picture with a class.
        OSError: the archive cannot be written.
    """
    items = items_of(dataset)
    first = next(items, None)
    if first is None:
        raise ConfigError("photos: the data set is empty")
    if isinstance(first.picture, Path):
        return _table_of_files([first, *items])
    archive, names = _archive([first, *items])
    size = file_size(archive.stat().st_size)
    pictures = counted(len(names), "picture of the data set is", "pictures of the data set are")
    screen.line("", f"{pictures} in {archive} ({size}), for repeating and resuming the run")
    return archive, _table(names)


def _table_of_files(items: Sequence[Item]) -> tuple[Path, Path]:
    if not all(isinstance(item.picture, Path) for item in items):
        raise ConfigError("photos: expected either files or pictures in memory in a data set, found both")
    absolute = [Path(item.picture).absolute() for item in items]
    root = _common_folder(absolute)
    rows = [(path.relative_to(root).as_posix(), item) for path, item in zip(absolute, items, strict=True)]
    return root, _table(rows)


def _common_folder(files: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([file.parent for file in files]))


def _table(named: Sequence[tuple[str, Item]]) -> Path:
    split = any(item.split for _, item in named)
    rows = [[name, item.label, *([item.split] if split else [])] for name, item in named]
    return stored_rows([["path", "label", *(["split"] if split else [])], *rows])


def _archive(items: Sequence[Item]) -> tuple[Path, list[tuple[str, Item]]]:
    """Write the pictures to an archive that is named by their content, and return it and their names."""
    folder = cache_folder() / "datasets"
    make_folder(folder)
    digest, named = hashlib.sha256(), list[tuple[str, Item]]()
    temporary = folder / f"unfinished-{id(items):x}.zip"
    try:
        with zipfile.ZipFile(temporary, "w") as file:
            for number, item in enumerate(items):
                data, suffix = picture_file(item.picture)
                name = f"{number:06}{suffix}"
                file.writestr(zipfile.ZipInfo(name), data)
                digest.update(f"{name} {len(data)} ".encode() + data)
                named.append((name, Item(None, item.label, item.split)))
        archive = folder / f"{digest.hexdigest()[:16]}.zip"
        temporary.replace(archive)
    finally:
        temporary.unlink(missing_ok=True)
    return archive, named


def picture_file(picture: Any) -> tuple[bytes, str]:
    """Return a picture as the bytes of a file, and the suffix of its name; pixels are written as PNG, without loss.

    Raises:
        ConfigError: it is not a picture.
    """
    if isinstance(picture, Path):
        return picture.read_bytes(), picture.suffix
    if isinstance(picture, bytes):
        return picture, ""
    form = next(photo_forms([picture]))
    if isinstance(form, Path):
        return form.read_bytes(), form.suffix
    if isinstance(form.source, bytes):
        return form.source, ""
    out, image = io.BytesIO(), form.source
    exif = image.getexif() if image.getexif().get(_ORIENTATION, 1) != 1 else None
    try:
        image.save(out, "PNG", **({} if exif is None else {"exif": exif}))
    except OSError:  # PNG has no CMYK
        out = io.BytesIO()
        as_rgb(image).save(out, "PNG")
    return out.getvalue(), ".png"
