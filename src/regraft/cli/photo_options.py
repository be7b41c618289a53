"""Options of the commands that read labeled photos: where the labels are, and where moved photos are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import cloup

from regraft.cli.options import PATH, Choice
from regraft.data.photo import FOLDER_MEANINGS

F = TypeVar("F", bound=Callable[..., Any])

LABEL_OPTIONS: Final = ("labels", "label_from", "path_column", "label_column", "skip_missing", "folders")
"""Names of the options of `label_options`, as those of `regraft.data.selection.PhotoSelection`."""

SELECTION: Final = ("photos", "more_photos", "stored_labels", *LABEL_OPTIONS)
"""Names of all fields of `regraft.data.selection.PhotoSelection`."""


def label_options() -> list[Any]:
    """Return the options that say where the labels of photos are."""
    return [
        cloup.option(
            "--labels",
            type=PATH,
            metavar="TABLE",
            help="Labels from a file instead of from folders: a CSV, Excel, Parquet or JSON file with the columns "
            "path,label[,split,group], or an export of Label Studio or CVAT.",
        ),
        cloup.option(
            "--label-from",
            metavar="PATTERN",
            help="Labels from the names of the photos: prefix for cat.0.jpg and Abyssinian_12.jpg, or a regular "
            "expression whose group named label is the class, such as '^(?P<label>[^_]+)_'.",
        ),
        cloup.option(
            "--path-column", metavar="NAME", help="Column of --labels with the photos. Recognized if not given."
        ),
        cloup.option(
            "--label-column", metavar="NAME", help="Column of --labels with the labels. Recognized if not given."
        ),
        cloup.option(
            "--skip-missing",
            is_flag=True,
            default=None,
            help="Leave out rows of --labels without a photo or a label, instead of an error that lists them.",
        ),
        cloup.option(
            "--folders",
            type=Choice(FOLDER_MEANINGS),
            help="What the folders in PHOTOS are: classes; sides (training, validation, test) with the classes in "
            "them; or parts with the classes in them. Recognized by their names if not given.",
        ),
    ]


def moved_option(help: str) -> Callable[[F], F]:  # noqa: A002  (click's name)
    """Return the decorator that adds ``--photos``, for photos that are elsewhere than during the run."""
    decorator: Callable[[F], F] = cloup.option("--photos", "moved_to", type=PATH, metavar="FOLDER", help=help)
    return decorator


def take_label_options(options: dict[str, Any]) -> Mapping[str, Any]:
    """Remove the options of `label_options` from ``options``, and return those that are given."""
    taken = {name: options.pop(name) for name in LABEL_OPTIONS if name in options}
    return {name: value for name, value in taken.items() if value is not None}
