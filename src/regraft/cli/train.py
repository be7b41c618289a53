"""`regraft train`: photos become a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from regraft.cli.options import (
    PATH,
    callback_options,
    device_option,
    going_on_options,
    network_options,
    output_options,
    pass_session,
    workers_option,
)
from regraft.cli.output import Session, show

RECIPES = ("auto", "linear-probe", "feature-extraction", "fine-tune")

_EXAMPLES = """\b
Examples:
  regraft train photos
  regraft train photos --recipe linear-probe -o runs/first
  regraft train photos --recipe fine-tune --unfreeze 2 --epochs 4
  regraft train photos --recipe fine-tune --epochs 20 --early-stop 3 --tensorboard
  regraft train photos --budget 10m --json > result.json"""


@cloup.command(name="train", short_help="Train a classifier on a folder of photos.", epilog=_EXAMPLES)
@cloup.argument(
    "photos",
    type=PATH,
    required=False,
    help="A folder with one folder per class, or with train/ and val/ [and test/] and the classes below.",
)
@cloup.option_group(
    "Result",
    cloup.option(
        "-o", "--out", type=PATH, metavar="RUN", help="The run folder to make; runs/PHOTOS-RECIPE-NNN if not given."
    ),
    cloup.option(
        "--config",
        type=PATH,
        metavar="FILE",
        help="YAML or JSON with these settings, such as config.json of a run; options win over it.",
    ),
)
@cloup.option_group(
    "Recipe",
    cloup.option(
        "--recipe",
        type=click.Choice(RECIPES),
        help="How to train, see above; auto if not given.",
    ),
    cloup.option("--budget", metavar="TIME", help="What auto may spend: 30s, 10m, 2h."),
    cloup.option(
        "--epochs", type=int, metavar="N", help="Passes over the photos, for the recipes that train by gradient."
    ),
    cloup.option(
        "--unfreeze",
        metavar="BLOCKS",
        help="What fine-tune trains: all, a number of blocks from the top, or names separated by commas.",
    ),
    cloup.option(
        "--views",
        type=int,
        metavar="N",
        help="Views of each photo, computed once and kept: the plain one, its mirror image, random crops. "
        "For fine-tune with frozen lower blocks; 0 gives ever new crops through the whole network.",
    ),
    cloup.option("--lr", type=float, metavar="RATE", help="Peak learning rate."),
    cloup.option("--batch-size", type=int, metavar="N", help="Photos in one training step."),
    cloup.option(
        "--class-weight", type=click.Choice(["balanced"]), help="Make rare classes count as much as common ones."
    ),
    cloup.option("--seed", type=int, metavar="N", help="Decides order, augmentation and dropout; 0 if not given."),
)
@callback_options()
@network_options()
@cloup.option_group(
    "Photos",
    cloup.option(
        "--labels",
        type=PATH,
        metavar="CSV",
        help="Labels from a CSV of path,label[,split,group] instead of from folders.",
    ),
    cloup.option("--split", metavar="A/B/C", help="Parts of train/validation/test; 80/10/10 if not given."),
    cloup.option("--split-seed", type=int, metavar="N", help="Another number gives another split; 0 if not given."),
    cloup.option(
        "--split-from", type=PATH, metavar="RUN", help="Keep every photo on the side that it had in an earlier run."
    ),
    cloup.option(
        "--group-by",
        metavar="RULE",
        help="Keep photos together that belong together: parent, exif-burst, column:NAME of the CSV, or a regular "
        "expression on the path whose first group names them.",
    ),
    cloup.option(
        "--fix-leaks",
        is_flag=True,
        default=None,
        help="With a given split: leave train photos out that are copies of photos on another side.",
    ),
    cloup.option(
        "--decisions",
        type=PATH,
        metavar="CSV",
        help="Drop and relabel photos as a CSV of path,decision,why says, without touching them; see regraft check.",
    ),
    cloup.option(
        "--choose-on-val",
        is_flag=True,
        default=None,
        help="Choose the best epoch on a given val/, as lectures do; its figures are then flagged.",
    ),
)
@cloup.option_group(
    "Going on after an interruption",
    *going_on_options(),
    cloup.option("--fresh", is_flag=True, default=None, help="Begin anew, beside what was interrupted or is finished."),
)
@cloup.option_group(
    "Machine",
    device_option(default=None),
    cloup.option(
        "--precision", type=click.Choice(["auto", "fp32", "bf16"]), help="auto measures what this processor gains from."
    ),
    workers_option(),
)
@output_options(quiet="Say nothing but warnings; print the run folder at the end.")
@pass_session
def train(session: Session, /, photos: Path | None, config: Path | None, **options: Any) -> None:
    """Train a classifier on PHOTOS and test it.

    The end says how good it is on photos that no choice has looked at, and the command to use it. Photos are only read,
    never changed; what can't be read is put aside and named. The same command goes on with a run that was interrupted.

    \b
    Recipes
      linear-probe        the network stays as it is; a linear classifier is solved on its features: seconds
      feature-extraction  the same, but the classifier is trained in epochs, as a lecture shows it
      fine-tune           blocks of the network are trained too, starting from the linear probe: minutes
      auto                the linear probe, then fine-tuning if the budget allows it; the better one is kept
    """  # noqa: D301  (click takes the backspace for: keep these lines as they are)
    if photos is None and config is None:
        raise click.UsageError("which photos? Name a folder: regraft train PHOTOS", click.get_current_context())

    from regraft.context.config import resolve
    from regraft.process import process_start_time
    from regraft.workflows.train import train_config

    screen = session.screen()
    show(session, train_config(resolve(config, photos=photos, **options), screen, started=process_start_time()), screen)
