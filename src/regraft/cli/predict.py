"""`regraft predict`: the classes of new photos, given as files, folders or patterns."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import cloup

from regraft.cli.copying import check_place, copied, show_copies
from regraft.cli.exits import DONE, UNREADABLE
from regraft.cli.options import PATH, Choice, device_option, output_options, pass_session, views_option, workers_option
from regraft.cli.output import (
    PredictionCsv,
    PredictionJsonLines,
    PredictionTable,
    PredictionWriter,
    Session,
    warn_above_classes,
)
from regraft.cli.photo_names import with_names_on_stdin
from regraft.errors import PhotosError, UnreadableError
from regraft.inference.prediction_json import as_json
from regraft.screen import Screen

if TYPE_CHECKING:
    from regraft.data.walk import Skipped
    from regraft.inference.prediction import Prediction
    from regraft.inference.predictor import Predictor


_EXAMPLES = """\b
Examples:
  regraft predict runs/photos-auto-001 new/*.jpg
  regraft predict runs/photos-auto-001 new --top 3 --format csv > new.csv
  regraft predict model.safetensors camera --copy-to sorted --unsure 0.8
  find camera -newer last -name '*.jpg' | regraft predict model.safetensors -
  regraft predict runs/photos-auto-001 new --review"""


@cloup.command(name="predict", short_help="Classify new photos.", epilog=_EXAMPLES)
@cloup.argument(
    "model",
    type=PATH,
    help="A run folder, a copy of its model.safetensors, or a file of a Classifier that a Trainer saved.",
)
@cloup.argument(
    "photos",
    nargs=-1,
    required=True,
    help="Photos, folders (photos at any depth), patterns such as 'new/*.jpg', and - for names on standard input.",
)
@cloup.option_group(
    "Answer",
    cloup.option(
        "--format",
        "form",
        type=Choice(["table", "csv", "jsonl"]),
        default="table",
        show_default=True,
        help="csv has the columns path,label,probability, then those of the next classes, then error; then unsure, if "
        "the classifier was trained with --max-error; then novelty,doubt.",
    ),
    cloup.option(
        "--top",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="K",
        help="Show the K most probable classes.",
    ),
    views_option(),
    cloup.option(
        "--copy-to",
        type=PATH,
        metavar="OUT",
        help="Copy every photo into OUT, into a folder per class; folders of the photos are kept below it. A repeated "
        "call replaces its own copies, and no other file.",
    ),
    cloup.option(
        "--unsure",
        type=click.FloatRange(0, 1),
        metavar="P",
        help="Mark photos whose class is less probable than P as unsure, and those unlike all training photos as "
        "unlike; --copy-to puts both into folders of their own.",
    ),
    cloup.option(
        "--review",
        is_flag=True,
        help="Accept or correct the classes in the browser, the least certain first; writes reviewed.csv, for train "
        "--labels.",
    ),
)
@cloup.option_group("Machine", device_option(), workers_option())
@output_options(quiet="Print only the predictions.")
@pass_session
def predict(
    session: Session,
    model: Path,
    photos: tuple[str, ...],
    form: str,
    top: int,
    copy_to: Path | None,
    unsure: float | None,
    review: bool,
    views: int | None,
    device: str,
    workers: int | None,
) -> int:
    """Classify PHOTOS with MODEL. An unreadable photo gets a row with the reason, and the exit code is 3."""
    from regraft.inference.predictor import Predictor
    from regraft.inference.sorted_copies import SortedCopies

    predictor = Predictor.load(model, device=device, workers=workers, views=views)
    paths = expand(photos)
    if copy_to is not None:
        check_place(copy_to, photos, paths)
    copies = SortedCopies(copy_to, predictor.classes) if copy_to is not None else None
    screen = session.screen(on_stderr=True)
    if session.json and form != "table":
        screen.warn(f"--format {form} is not used with --json, which prints one object")
    warn_above_classes(screen, [top], len(predictor.classes))
    predictions: Iterable[Prediction] = copied(_stream(predictor, paths, screen, session), copies, photos, unsure)
    if review:
        predictions = list(predictions)
    top, threshold = min(top, len(predictor.classes)), predictor.reject_below is not None
    if session.json:
        rows = list(predictions)
        values = [as_json(row, top, threshold=threshold, unsure=unsure) for row in rows]
        session.print_json({"classes": list(predictor.classes), "predictions": values})
        unread = sum(row.error is not None for row in rows)
    else:
        unread = _print(predictions, _writer(form, paths, predictor, top, unsure))
    if copies is not None:
        show_copies(copies, screen)
    if unread == len(paths):
        raise UnreadableError("none of the photos could be read" if unread > 1 else "the photo could not be read")
    if unread:
        screen.warn(f"{unread:,} of {len(paths):,} photos could not be read")
    if review:
        from regraft.cli.browser_review import review_predictions

        review_predictions(list(predictions), predictor.classes, screen)
    return UNREADABLE if unread else DONE


def _stream(predictor: Predictor, paths: Sequence[Path], screen: Screen, session: Session) -> Iterator[Prediction]:
    if not session.json and sys.stdout.isatty():  # the rows themselves show the progress
        yield from predictor.stream(paths)
        return
    with screen.progress("predict", len(paths) * predictor.passes) as bar:
        yield from predictor.stream(paths, bar)


def _writer(form: str, paths: Sequence[Path], predictor: Predictor, top: int, unsure: float | None) -> PredictionWriter:
    threshold = predictor.reject_below is not None
    if form == "csv":
        return PredictionCsv(top, threshold=threshold, unsure=unsure)
    if form == "jsonl":
        return PredictionJsonLines(top, threshold=threshold, unsure=unsure)
    return PredictionTable([str(path) for path in paths], predictor.classes, top, unsure)


def _print(predictions: Iterable[Prediction], writer: PredictionWriter) -> int:
    """Print all predictions and return the number of unreadable photos."""
    unread = 0
    for prediction in predictions:
        writer.add(prediction)
        unread += prediction.error is not None
    return unread


def expand(arguments: Sequence[str]) -> list[Path]:
    """Return the photos that ``arguments`` name, without repetition, in the order of arguments and of names in folders.

    Args:
        arguments: photos; folders, which are searched at any depth; patterns with ``*``, ``?``, ``[…]`` or ``**`` that
            the shell has not expanded; and ``-`` for the names on standard input.

    Raises:
        PhotosError: some arguments match nothing (all are named in one message), or there are no photos at all.
    """
    photos: dict[Path, None] = {}
    missing = []
    skipped: Skipped = []
    for argument, may_be_pattern in with_names_on_stdin(arguments):
        paths = _matches(argument) if may_be_pattern else [Path(argument)]
        if not paths:
            missing.append(argument)
        for path in paths:
            photos.update(dict.fromkeys(_in_folder(path, skipped) if _is_folder(path) else [path]))
    if missing:
        raise PhotosError(f"no such photo or folder: {', '.join(missing)}")
    if not photos:
        why = f"\n  found {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise PhotosError(f"no photos in {', '.join(arguments)}{why}")
    return list(photos)


def _matches(argument: str) -> list[Path]:
    from regraft.data.photos_by_content import is_readable  # not for --help

    if os.path.lexists(argument) or _is_folder(Path(argument)) or is_readable(Path(argument)):
        return [Path(argument)]
    if glob.has_magic(argument):
        return [Path(path) for path in sorted(glob.glob(argument, recursive=True))]
    return []


def _is_folder(path: Path) -> bool:
    """Return whether a path is a folder on the disk, an archive of photos, or a folder in one."""
    from regraft.data.listing import is_in_archive  # not for --help

    return path.is_dir() or is_in_archive(path)


def _in_folder(folder: Path, skipped: Skipped) -> Iterable[Path]:
    from regraft.data.listing import list_root
    from regraft.data.walk import photos_below  # not for --help

    if folder.is_dir():
        return [path for _, path in photos_below(folder, str(folder), frozenset(), skipped)]
    return [path for _, path in list_root(folder, None).photos()]
