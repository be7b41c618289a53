"""`regraft predict`: the classes of new photos, given as files, folders or patterns."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import cloup

from regraft.cli.cluster_options import on_option
from regraft.cli.copying import check_place, copied, show_copies
from regraft.cli.exits import DONE, UNREADABLE
from regraft.cli.options import (
    PATH,
    Choice,
    device_option,
    output_options,
    pass_session,
    views_option,
    workers_option,
)
from regraft.cli.output import (
    PredictionCsv,
    PredictionJson,
    PredictionJsonLines,
    PredictionTable,
    PredictionWriter,
    Session,
    warn_above_classes,
)
from regraft.cli.photo_arguments import expand
from regraft.cli.preparing import MAX_COMPARED, prepare_later_calls
from regraft.cli.watching import check_watched, watched
from regraft.data.archives.address import shown
from regraft.errors import UnreadableError
from regraft.interrupts import Terminated
from regraft.screen import Screen

if TYPE_CHECKING:
    from regraft.inference.prediction import AnyPredictor, Prediction
    from regraft.inference.sorted_copies import SortedCopies


_USUAL_NAME = "IMG_20260101_120000.jpg"  # its width is that of the column of names that are not known yet

_EXAMPLES = """\b
Examples:
  regraft predict runs/photos-auto-001 new/*.jpg
  regraft predict runs/photos-auto-001 new --top 3 --format csv > new.csv
  regraft predict model.safetensors camera --copy-to sorted --unsure 0.8
  find camera -newer last -name '*.jpg' | regraft predict model.safetensors -
  regraft predict runs/photos-auto-001 new --review
  regraft predict runs/photos-auto-001 --watch incoming --format jsonl"""


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
        "--watch",
        is_flag=True,
        help="After the photos that are there, classify those that arrive in the folders, each once, until Ctrl-C.",
    ),
    cloup.option(
        "--review",
        is_flag=True,
        help="Accept or correct the classes in the browser, the least certain first; writes reviewed.csv, for train "
        "--labels.",
    ),
)
@cloup.option_group("Machine", device_option(), workers_option(), on_option())
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
    watch: bool,
    review: bool,
    views: int | None,
    device: str,
    workers: int | None,
    cluster: str | None,
) -> int:
    """Classify PHOTOS with MODEL. An unreadable photo gets a row with the reason, and the exit code is 3."""
    if watch:
        check_watched(photos, json=session.json, review=review)
        if cluster is not None:
            raise click.UsageError("--on does not go with --watch", click.get_current_context())
    limits = () if unsure is None else (unsure,)
    predictor = _open(model, device, workers, views, limits)
    if cluster is not None:
        predictor = _on_cluster(predictor, cluster, model, views)
    paths = [] if watch else expand(photos)
    copies = _copies(copy_to, photos, paths, predictor)
    screen = session.screen(on_stderr=True)
    if session.json and form != "table":
        screen.warn(f"--format {form} is not used with --json, which prints one object")
    warn_above_classes(screen, [top], len(predictor.classes))
    names = [f"{folder}/{_USUAL_NAME}" for folder in photos] if watch else [shown(path) for path in paths]
    writer = _writer("json" if session.json else form, names, predictor, top, unsure)
    found = watched(photos, predictor, screen) if watch else _stream(predictor, paths, screen, session)
    with contextlib.closing(copied(found, copies, photos, unsure)) as predictions:
        answered = _print(predictions, writer, len(paths), keep=None if review else MAX_COMPARED)
    if isinstance(writer, PredictionJson):
        session.print_json(writer.value())
    if copies is not None:
        show_copies(copies, screen)
    if answered.unread == len(paths):
        raise UnreadableError("none of the photos could be read" if len(paths) > 1 else "the photo could not be read")
    if answered.unread:
        screen.warn(f"{answered.unread:,} of {len(paths):,} photos could not be read")
    if review:
        from regraft.cli.browser_review import review_predictions

        review_predictions(answered.predictions, predictor.classes, screen)
    prepare_later_calls(model, predictor, answered.predictions, screen)
    return UNREADABLE if answered.unread else DONE


def _open(model: Path, device: str, workers: int | None, views: int | None, limits: Sequence[float]) -> AnyPredictor:
    """Return the predictor for a run folder, a model file or an exported file."""
    from regraft.export.exported_predictor import ExportedPredictor, exported_file_of
    from regraft.inference.prepared import open_predictor

    file = exported_file_of(model)
    if file is not None:
        return ExportedPredictor(file, workers=workers, views=views, device=device)
    return open_predictor(model, device=device, workers=workers, views=views, limits=limits)


def _on_cluster(predictor: AnyPredictor, address: str, model: Path, views: int | None) -> AnyPredictor:
    """Return the predictor that runs the network on a Ray cluster, once the cluster answers."""
    from regraft.on_ray.prediction_actors import ClusterPredictor

    return ClusterPredictor(predictor, address, model, views)


def _copies(
    copy_to: Path | None, photos: Sequence[str], paths: Sequence[Path], predictor: AnyPredictor
) -> SortedCopies | None:
    """Return the copies that ``--copy-to`` asks for; None without it."""
    from regraft.inference.sorted_copies import SortedCopies

    if copy_to is None:
        return None
    check_place(copy_to, photos, paths)
    return SortedCopies(copy_to, predictor.classes)


def _stream(predictor: AnyPredictor, paths: Sequence[Path], screen: Screen, session: Session) -> Iterator[Prediction]:
    if not session.json and sys.stdout.isatty():  # the rows themselves show the progress
        yield from predictor.stream(paths)
        return
    with screen.progress("predict", len(paths) * predictor.passes) as bar:
        yield from predictor.stream(paths, bar)


def _writer(
    form: str, photos: Sequence[str], predictor: AnyPredictor, top: int, unsure: float | None
) -> PredictionWriter:
    top, threshold = min(top, len(predictor.classes)), predictor.reject_below is not None
    if form == "json":
        return PredictionJson(predictor.classes, top, threshold=threshold, unsure=unsure)
    if form == "csv":
        return PredictionCsv(top, threshold=threshold, unsure=unsure)
    if form == "jsonl":
        return PredictionJsonLines(top, threshold=threshold, unsure=unsure)
    return PredictionTable(photos, predictor.classes, top, unsure)


@dataclass(frozen=True)
class _Answered:
    """Predictions that were printed: their number without an answer, and the first of them."""

    unread: int
    predictions: list[Prediction]


def _print(predictions: Iterable[Prediction], writer: PredictionWriter, photos: int, keep: int | None) -> _Answered:
    """Print predictions, each as soon as it is known; keep the first ``keep`` of them, or all if None."""
    unread, done = 0, 0
    kept: list[Prediction] = []
    try:
        for prediction in predictions:
            writer.add(prediction)
            unread, done = unread + (prediction.error is not None), done + 1
            if keep is None or len(kept) < keep:
                kept.append(prediction)
    except (KeyboardInterrupt, Terminated) as error:
        of = f" of {photos:,}" if photos else ""
        error.add_note(f"{done:,}{of} photos are answered")
        raise
    return _Answered(unread, kept)
