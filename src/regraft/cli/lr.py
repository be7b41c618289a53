"""`regraft lr`: a search for the learning rate of fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import cloup

from regraft.cli.options import (
    PATH,
    device_option,
    network_options,
    output_options,
    pass_session,
    workers_option,
)
from regraft.cli.output import Session
from regraft.cli.photo_options import label_options

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
    cloup.option("-o", "--out", type=PATH, metavar="RUN", help="The folder to create; default runs/PHOTOS-lr-NNN."),
)
@cloup.option_group(
    "Training",
    cloup.option(
        "--unfreeze",
        metavar="BLOCKS",
        help="Blocks to train: all, a number of blocks from the top, or names separated by commas.",
    ),
    cloup.option("--batch-size", type=int, metavar="N", help="Photos in one training step."),
    cloup.option(
        "--steps",
        type=click.IntRange(min=2),
        default=100,
        show_default=True,
        metavar="N",
        help="Training steps, each with its own learning rate.",
    ),
)
@cloup.option_group("Photos", *label_options())
@network_options()
@cloup.option_group("Machine", device_option(), workers_option())
@output_options(quiet="Print only the rate.")
@pass_session
def lr(session: Session, /, steps: int, **options: Any) -> None:
    """Raise the learning rate step by step on PHOTOS, and suggest the rate at which the loss falls fastest.

    It trains what the recipe fine-tune would train, from the same start. The folder gets the curve as
    learning_rate.svg and learning_rate.csv, but no classifier. Fine-tuning starts from the solved linear probe, where
    the loss may not fall within a few steps; then there is no suggestion, and the default of the recipe applies. The
    result says whether the recipe's own rate agrees with the curve, or why not, and the rate of each block.
    """
    from regraft.context.config import resolve
    from regraft.process import process_start_time
    from regraft.workflows.find_learning_rate import find_learning_rate

    screen = session.screen()
    config = resolve(None, recipe="fine-tune", **options)
    result = find_learning_rate(config, screen, steps=steps, started=process_start_time())
    if session.json:
        session.print_json(
            {
                "run": str(result.folder),
                "suggestion": result.suggestion,
                "at_minimum": result.curve.at_minimum,
                "default": result.default,
                "agrees": result.agreement.agrees,
                "why": result.agreement.why,
                "rates": dict(result.rates),
                "plot": str(result.plot),
                "table": str(result.table),
            }
        )
    elif session.quiet:
        if result.suggestion is None:
            screen.warn("the loss did not fall at any rate; this is the default of fine-tune")
        session.print(f"{result.suggestion or result.default:.2g}")
    else:
        _show(result, screen, vars(config))


def _show(result: FoundRate, screen: Screen, config: dict[str, Any]) -> None:
    from regraft.context.commands import train_command

    if result.suggestion is None:
        text = f"no suggestion: the loss did not fall; the default of fine-tune is {result.default:.2g}"
        screen.line("rate", text, strong=True)
    else:
        note = f"(lowest loss at {result.curve.at_minimum:.2g}; the default of fine-tune is {result.default:.2g})"
        screen.line("rate", f"{result.suggestion:.2g}", note, strong=True)
    screen.line("agrees" if result.agreement.agrees else "differs", result.agreement.why)
    screen.line("rates", " · ".join(f"{block} {rate:.2g}" for block, rate in result.rates.items()))
    screen.line("curve", str(result.plot))
    rate = None if result.suggestion is None else float(f"{result.suggestion:.2g}")
    screen.line("next", train_command(config, lr=rate))
