"""The user's choice of photos and of the place of their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.data.photo import FolderMeaning
from regraft.data.tables.columns import ColumnNames
from regraft.errors import ConfigError, PhotosError


@dataclass(frozen=True)
class PhotoSelection:
    """Photos, and where their labels are.

    Attributes:
        photos: a folder or an archive.
        more_photos: further ones, whose photos are added.
        labels: a CSV, an Excel file or a data frame of labels; None if folders are classes.
        folders: the meaning of the folders in ``photos``; None to recognize it.
        label_from: the pattern of labels in the names of the photos, or None.
        path_column: the column of ``labels`` with the photos; None to recognize it.
        label_column: the column of ``labels`` with the labels; None to recognize it.
        skip_missing: whether rows of ``labels`` without a photo or a label are left out.
        table_folder: the folder in which relative paths of ``labels`` start; None for that of the file.
    """

    photos: Path
    more_photos: tuple[Path, ...] = ()
    labels: Any = None
    folders: FolderMeaning | None = None
    label_from: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    skip_missing: bool = False
    table_folder: Path | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> PhotoSelection:
        """Return the photos that options select.

        Args:
            options: those of `train` by name, such as the content of ``config.json``; ``stored_labels`` is a copy of
                the file of ``labels``, which is read in its place.
        """
        labels, copy = options.get("labels"), options.get("stored_labels")
        return cls(
            Path(options["photos"]),
            tuple(map(Path, options.get("more_photos") or ())),
            labels=labels if copy is None else copy,
            folders=options.get("folders"),
            label_from=options.get("label_from"),
            path_column=options.get("path_column"),
            label_column=options.get("label_column"),
            skip_missing=bool(options.get("skip_missing")),
            table_folder=None if copy is None or labels is None else Path(labels).parent,
        )

    @property
    def columns(self) -> ColumnNames:
        """The columns that the user names."""
        return ColumnNames(self.path_column, self.label_column)

    @property
    def roots(self) -> dict[str, Path]:
        """The folders by the first part of the names of their photos; ``""`` for a single folder.

        Raises:
            PhotosError: a folder is named twice, or one contains another.
        """
        return named_roots(self._places)

    def check(self) -> None:
        """Check that the options go together.

        Raises:
            ConfigError: they do not.
        """
        if self.labels is not None and self.label_from is not None:
            raise ConfigError("labels and label_from are two places of the labels; expected one of them")
        if self.labels is None and self._table_options and not any(map(_may_have_labels, self._places)):
            self.check_no_table_options()

    @property
    def _places(self) -> tuple[Path, ...]:
        return (self.photos, *self.more_photos)

    @property
    def _table_options(self) -> list[str]:
        named = (
            ("path_column", self.path_column),
            ("label_column", self.label_column),
            ("skip_missing", self.skip_missing),
        )
        return [name for name, value in named if value]

    def check_no_table_options(self) -> None:
        """Check that there are no options about a table of labels.

        Raises:
            ConfigError: there are.
        """
        if self._table_options:
            named = " and ".join(self._table_options)
            raise ConfigError(f"{named} applies only with labels, a table of photos and labels")


@dataclass(frozen=True)
class MovedPhotos:
    """The places of photos that are no longer in the folder in which a run has found them.

    Attributes:
        paths: where photos are now, by their names.
        labels: where the table of their labels is now; None if it has not moved.
        place: the folder or archive where they are now, which may have labels of its own; None if that is not known.
    """

    paths: Mapping[str, Path]
    labels: Path | None = None
    place: Path | None = None


def _may_have_labels(place: Path) -> bool:
    """Return whether the name of a place, or a file in it, is that of photos with labels."""
    inside = ("state.json", "dataset_dict.json", "annotations.xml", "annotations")
    named = place.suffix.lower() in (".tar", ".parquet", ".zip")
    return named or any((place / name).exists() for name in inside) or next(place.glob("*.tar"), None) is not None


def named_roots(folders: tuple[Path, ...]) -> dict[str, Path]:
    """Return folders by the first part of the names of their photos: the shortest ends of their paths that differ.

    Raises:
        PhotosError: a folder is named twice, or one contains another.
    """
    if len(folders) == 1:
        return {"": folders[0]}
    places = [folder.resolve() for folder in folders]
    for i, place in enumerate(places):
        for j, other in enumerate(places):
            if i < j and place == other:
                raise PhotosError(f"{folders[i]} is named twice; expected different folders of photos")
            if i != j and place in other.parents:
                raise PhotosError(
                    f"{folders[j]} is in {folders[i]}, whose photos would count twice\n"
                    "  expected   one of them, or folders next to each other"
                )
    depth = 1
    while len({place.parts[-depth:] for place in places}) < len(places):
        depth += 1
    names = ["/".join(part for part in place.parts[-depth:] if part != place.anchor) for place in places]
    return dict(zip(names, folders, strict=True))


def place_of(name: str, folders: tuple[Path, ...]) -> Path:
    """Return the path of a photo, given its name and the folders that it may be in."""
    for first, folder in named_roots(folders).items():
        if first and name.startswith(f"{first}/"):
            return folder / name.removeprefix(f"{first}/")
    return folders[0] / name
