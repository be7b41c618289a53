"""`regraft train`: a classifier from a folder of photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from regraft.cli.cluster_options import store_option, worker_options
from regraft.cli.options import (
    PATH,
    Choice,
    callback_options,
    device_option,
    network_options,
    output_options,
    pass_session,
    resume_options,
    workers_option,
)
from regraft.cli.output import Session, show_result
from regraft.cli.photo_options import label_options
from regraft.context.option_values import RECIPES

_EXAMPLES = """\b
Examples:
  regraft train photos
  regraft train photos --recipe linear-probe -o runs/first
  regraft train photos --recipe fine-tune --unfreeze 2 --epochs 4
  regraft train photos --recipe fine-tune --epochs 20 --early-stop 3
  regraft train photos.zip more_photos
  regraft train photos --labels labels.xlsx --label-column species
  regraft train cats_and_dogs --label-from prefix
  regraft train s3://bucket/photos
  regraft train photos --budget 10m --json > result.json"""


@cloup.command(name="train", short_help="Train a classifier on a folder of photos.", epilog=_EXAMPLES)
@cloup.argument(
    "photos",
    type=PATH,
    nargs=-1,
    required=False,
    help="A folder with one folder per class, or with train/ and val/ [and test/] and the classes below; a zip or tar "
    "archive of one; an address such as s3://bucket/photos; a file of labels next to the photos; or several folders "
    "and archives, which are merged.",
)
@cloup.option_group(
    "Result",
    cloup.option(
        "-o", "--out", type=PATH, metavar="RUN", help="The run folder to create; runs/PHOTOS-RECIPE-NNN if not given."
    ),
    cloup.option(
        "--config",
        type=PATH,
        metavar="FILE",
        help="YAML or JSON with these settings, such as config.json of a run; options take precedence.",
    ),
    cloup.option("--watch", is_flag=True, help="Open a live page of the run in the browser; needs regraft[monitor]."),
)
@cloup.option_group(
    "Recipe",
    cloup.option(
        "--recipe",
        type=Choice(RECIPES),
        help="The recipe, see above; auto if not given.",
    ),
    cloup.option("--budget", metavar="TIME", help="Time limit of auto, with its unit: 30s, 10m, 2h."),
    cloup.option(
        "--epochs", type=int, metavar="N", help="Passes over the photos, for feature-extraction and fine-tune."
    ),
    cloup.option(
        "--unfreeze",
        metavar="BLOCKS",
        help="Blocks that fine-tune trains: all, a number of blocks from the top, or names separated by commas.",
    ),
    cloup.option(
        "--views",
        type=int,
        metavar="N",
        help="Views of each photo, computed once and cached: itself, its mirror image, random crops. "
        "With fine-tune, 0 means new crops in every epoch, through the whole network.",
    ),
    cloup.option(
        "--all-depths",
        is_flag=True,
        default=None,
        help="With linear-probe: also use pooled activations of the lower blocks, if cross-validation finds that they "
        "help.",
    ),
    cloup.option(
        "--download",
        is_flag=True,
        default=None,
        help="With --backbone auto: also try some networks of timm that are not here yet; all allow commercial use.",
    ),
    cloup.option("--lr", type=float, metavar="RATE", help="Peak learning rate."),
    cloup.option("--batch-size", type=int, metavar="N", help="Photos in one training step."),
    cloup.option("--class-weight", type=Choice(["balanced"]), help="Give rare classes the same weight as common ones."),
    cloup.option(
        "--max-error",
        metavar="SHARE",
        help="Mistakes to allow among accepted photos, such as 2%: the threshold that promises this with 95 % "
        "confidence goes into the model file, and predict says unsure below it.",
    ),
    cloup.option("--seed", type=int, metavar="N", help="Seed of order, augmentation and dropout; 0 if not given."),
)
@callback_options()
@network_options()
@cloup.option_group(
    "Photos",
    *label_options(),
    cloup.option("--split", metavar="A/B/C", help="Percentages of train/validation/test; 80/10/10 if not given."),
    cloup.option("--split-seed", type=int, metavar="N", help="Seed of the split; 0 if not given."),
    cloup.option(
        "--split-from",
        type=PATH,
        metavar="RUN",
        help="Keep every photo in the part (train, validation, test) that it had in an earlier run.",
    ),
    cloup.option(
        "--group-by",
        metavar="RULE",
        help="Keep photos together that belong together: parent, exif-burst, time, number, look, column:NAME of the "
        "CSV, or a regular expression on the path whose first group names them.",
    ),
    cloup.option(
        "--fix-leaks",
        is_flag=True,
        default=None,
        help="With a given split: leave out training photos that are duplicates of validation or test photos.",
    ),
    cloup.option(
        "--decisions",
        type=PATH,
        metavar="CSV",
        help="Drop or relabel photos by a CSV of path,decision,why, without changing them; see regraft check.",
    ),
    cloup.option(
        "--choose-on-val",
        is_flag=True,
        default=None,
        help="Choose the best epoch on a given val/; its accuracy is then marked as optimistic.",
    ),
)
@cloup.option_group(
    "Interruptions",
    *resume_options(),
    cloup.option(
        "--fresh", is_flag=True, default=None, help="Start a new run, even if there is an interrupted or finished one."
    ),
)
@cloup.option_group(
    "Machine",
    device_option(default=None),
    cloup.option(
        "--precision",
        type=Choice(["auto", "fp32", "bf16"]),
        help="Precision of training steps; auto measures which is faster.",
    ),
    workers_option(),
    store_option(),
)
@worker_options()
@output_options(quiet="Print only warnings, and the run folder at the end.")
@pass_session
def train(
    session: Session,
    /,
    photos: tuple[Path, ...],
    config: Path | None,
    watch: bool,
    cluster: str | None,
    processes: int | None,
    **options: Any,
) -> None:
    """Train a classifier on PHOTOS and test it.

    The summary at the end shows the accuracy on photos that were never used to make a choice, and the command to use
    the classifier. Photos are only read, never changed; unreadable files are skipped and listed. The same command
    continues an interrupted run.

    \b
    Recipes
      linear-probe        solve a linear classifier on frozen features: seconds
      feature-extraction  the same, but train the classifier in epochs
      fine-tune           also train blocks of the network: minutes
      auto                the probe, then fine-tuning if it helps and fits
    """  # noqa: D301  (click reads \b as: do not wrap the next lines)
    if not photos and config is None:
        raise click.UsageError("expected a folder of photos: regraft train PHOTOS", click.get_current_context())
    if processes is not None and cluster is None:
        raise click.UsageError("--processes needs --on ray; torchrun --nproc-per-node starts processes without Ray")
    from regraft.context.config import resolve
    from regraft.process import process_start_time
    from regraft.workflows.train import train_config

    screen = session.screen()
    resolved = resolve(config, photos=photos or None, **options)
    if watch:
        from regraft.monitor.watch import watch as open_live_page
        from regraft.run.new_folder import BASE

        open_live_page(BASE if resolved.out is None else resolved.out.parent, screen)
    if cluster is None:
        run = train_config(resolved, screen, started=process_start_time())
    else:
        from regraft.workflows.cluster_training import train_on_cluster  # imports torch

        run = train_on_cluster(resolved, cluster, processes, screen)
    show_result(session, run, screen)
