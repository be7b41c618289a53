"""`regraft lr`: which learning rate suits a fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from regraft.cli.options import PATH, device_option, network_options, output_options, pass_session, workers_option
from regraft.cli.output import Session

if TYPE_CHECKING:
    from regraft.screen import Screen
    from regraft.workflows.find_learning_rate import FoundRate

_EXAMPLES = """\b
Examples:
  regraft lr photos
  regraft lr photos --unfreeze 2 --steps 50 -o rates"""


@cloup.command(name="lr", short_help="Find a learning rate for fine-tuning.", epilog=_EXAMPLES)
@cloup.argument("photos", type=PATH, help="A folder with one folder per class.")
@cloup.option_group(
    "Result",
    cloup.option("-o", "--out", type=PATH, metavar="RUN", help="The folder to make; runs/PHOTOS-lr-NNN if not given."),
)
@cloup.option_group(
    "Training",
    cloup.option(
        "--unfreeze",
        metavar="BLOCKS",
        help="What would be trained: all, a number of blocks from the top, or names separated by commas.",
    ),
    cloup.option("--batch-size", type=int, metavar="N", help="Photos in one training step."),
    cloup.option(
        "--steps",
        type=click.IntRange(min=2),
        default=100,
        show_default=True,
        metavar="N",
        help="Training steps, each with its own rate.",
    ),
)
@network_options()
@cloup.option_group("Machine", device_option(), workers_option())
@output_options(quiet="Print the rate alone.")
@pass_session
def lr(session: Session, /, steps: int, **options: Any) -> None:
    """Try growing learning rates on PHOTOS for some steps, and suggest the one at which the loss falls fastest.

    What is trained is what the recipe fine-tune would train, from the same start. The folder that is made holds the
    curve as learning_rate.svg and learning_rate.csv, and no classifier. Fine-tuning starts at the solved linear probe,
    where the loss may not fall at all in so few steps; then nothing is suggested, and the recipe's own rate stands.
    """
    from regraft.context.config import resolve
    from regraft.process import process_start_time
    from regraft.workflows.find_learning_rate import find_learning_rate

    screen = session.screen()
    config = resolve(None, recipe="fine-tune", **options)
    found = find_learning_rate(config, screen, steps=steps, started=process_start_time())
    if session.json:
        session.print_json(
            {
                "run": str(found.folder),
                "suggestion": found.suggestion,
                "at_minimum": found.curve.at_minimum,
                "default": found.default,
                "plot": str(found.plot),
                "table": str(found.table),
            }
        )
    elif session.quiet:
        if found.suggestion is None:
            screen.warn("the loss did not fall at any rate; this is fine-tune's own")
        session.print(f"{found.suggestion or found.default:.2g}")
    else:
        _show(found, screen, config.photos)


def _show(found: FoundRate, screen: Screen, photos: Path) -> None:
    from regraft.text import command

    if found.suggestion is None:
        screen.line(
            "rate", f"none to suggest: the loss did not fall; fine-tune's own is {found.default:.2g}", strong=True
        )
    else:
        note = f"(lowest loss at {found.curve.at_minimum:.2g}; fine-tune's own is {found.default:.2g})"
        screen.line("rate", f"{found.suggestion:.2g}", note, strong=True)
    screen.line("curve", str(found.plot))
    rate = () if found.suggestion is None else ("--lr", f"{found.suggestion:.2g}")
    screen.line("next", command("regraft", "train", photos, "--recipe", "fine-tune", *rate))
