"""`regraft evaluate`: the accuracy of a classifier on labeled photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from regraft.cli.exits import DONE, UNREADABLE
from regraft.cli.options import (
    PATH,
    Choice,
    device_option,
    output_options,
    pass_session,
    refuse_without,
    views_option,
    workers_option,
)
from regraft.cli.output import Session, warn_above_classes
from regraft.cli.photo_options import label_options, moved_option, take_label_options
from regraft.screen import screen_for

if TYPE_CHECKING:
    from regraft.data.photo import Side

_EXAMPLES = """\b
Examples:
  regraft evaluate runs/photos-auto-001 more_photos
  regraft evaluate runs/photos-auto-001 --split test --top 3
  regraft evaluate model.safetensors photos --labels labels.csv"""


_EXPECTED = "expected either PHOTOS, a folder of labeled photos, or --split, a part of the run's own split"


@cloup.command(name="evaluate", short_help="Measure a classifier on labeled photos.", epilog=_EXAMPLES)
@cloup.argument("model", type=PATH, help="A run folder, or a copy of its model.safetensors.")
@cloup.argument("photos", type=PATH, required=False, help="A folder with one folder per class, or an archive of one.")
@cloup.option_group(
    "Photos",
    *label_options(),
    cloup.option(
        "--split",
        type=Choice(["train", "validation", "test"]),
        help="Instead of PHOTOS, a part of the run's own split; test gives the values of its metrics.json.",
    ),
    moved_option(
        "With --split: the folder or archive where the photos of the run are now; they are recognized by their content."
    ),
    cloup.option(
        "--include-training",
        is_flag=True,
        help="Also measure photos that MODEL was trained on, which are otherwise left out; their bytes tell.",
    ),
)
@cloup.option_group(
    "Figures",
    cloup.option(
        "--top", type=click.IntRange(min=1), multiple=True, metavar="K",
        help="Also the top-K accuracy: how often the right class is among the K most probable. Repeatable.",
    ),
    views_option(),
)  # fmt: skip
@cloup.option_group("Machine", device_option(), workers_option())
@output_options(quiet="Print only the measured values.")
@pass_session
def evaluate(
    session: Session,
    /,
    model: Path,
    photos: Path | None,
    split: Side | None,
    moved_to: Path | None,
    include_training: bool,
    top: tuple[int, ...],
    views: int | None,
    device: str,
    workers: int | None,
    **options: Any,
) -> int:
    """Measure MODEL on PHOTOS or on a part of its own split: accuracy with its 95 % interval, and results by class.

    Photos that the run was trained on are left out: accuracy on them is too high for new photos. If some photos cannot
    be read, the exit code is 3.
    """
    context = click.get_current_context()
    if (photos is None) == (split is None):
        raise click.UsageError(_EXPECTED, context)
    if split is not None:
        refuse_without(context, "PHOTOS", **options, include_training=include_training)
    refuse_without(context, "--split", photos=moved_to if split is None else None)
    from regraft.data.photo_places import photo_places
    from regraft.data.selection import PhotoSelection
    from regraft.inference.predictor import Predictor
    from regraft.report.evaluation import show_evaluation
    from regraft.workflows.evaluate import evaluate_folder, evaluate_run
    from regraft.workflows.steps.used_photos import used_photos

    screen = session.screen()
    predictor = Predictor.load(model, device=device, workers=workers, views=views)
    warn_above_classes(screen, top, len(predictor.classes))
    if photos is not None:
        named = take_label_options(options)
        places, labels = photo_places((photos,), named.get("labels"))
        selection = PhotoSelection(places[0], **{**named, "labels": labels})
        evaluation = evaluate_folder(
            predictor, selection, screen, top=top, used=used_photos(model), include_training=include_training
        )
    else:
        assert split is not None
        evaluation = evaluate_run(model, split, predictor, screen, top=top, moved_to=moved_to)
    if session.json:
        session.print_json(evaluation)
    else:
        show_evaluation(evaluation, split or str(photos), screen_for(verbose=session.verbose))
    return UNREADABLE if len(evaluation["put_aside"]) > _put_aside_before(model, split) else DONE


def _put_aside_before(model: Path, split: Side | None) -> int:
    """Return how many photos the run left out when it was trained; 0 if photos of a folder were measured."""
    from regraft.data.manifest import Manifest
    from regraft.run.folder import RunFolder

    if split is None:
        return 0
    entries = Manifest.read(RunFolder(model).manifest).entries
    return sum(entry.status == "put aside" for entry in entries)
