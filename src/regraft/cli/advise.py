"""`regraft advise`: the way of training that suits a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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

_EXAMPLES = """\b
Examples:
  regraft advise photos
  regraft advise photos --budget 5m
  regraft advise photos --json > advice.json"""


@cloup.command(name="advise", short_help="Say which way of training suits a folder.", epilog=_EXAMPLES)
@cloup.argument("photos", type=PATH, help="A folder with one folder per class, or with train/ and val/ [and test/].")
@cloup.option_group(
    "Advice",
    cloup.option("--budget", metavar="TIME", help="Time that a way may take, with its unit: 30s, 10m, 2h."),
)
@cloup.option_group(
    "Photos",
    *label_options(),
    cloup.option(
        "--group-by",
        metavar="RULE",
        help="Photos that belong together: parent, exif-burst, column:NAME of the table, or a regular expression.",
    ),
    cloup.option("--decisions", type=PATH, metavar="CSV", help="Decisions about photos, as for train."),
)
@network_options()
@cloup.option_group("Machine", device_option(), workers_option())
@output_options(quiet="Print only the next command.")
@pass_session
def advise(session: Session, /, photos: Path, **options: Any) -> None:
    """Say which way of training suits PHOTOS, without training.

    For each way: the expected accuracy with a 90 % interval, its minutes on this machine, the probability that it is
    the best, and the expected regret: the points of accuracy that the best way is expected to have more. The figures
    come from measurements on other folders, from your own finished runs, and from this folder's linear probe: its
    log-loss, its learning curve, and its depth profile, which measures how much the photos are like those of the
    pretraining. Only caches are written.
    """
    from regraft.context.config import resolve
    from regraft.process import process_start_time
    from regraft.report.advice_screen import show_advice
    from regraft.workflows.advice_facts import advice_facts
    from regraft.workflows.advise import advise as advice_for

    screen = session.screen()
    config = resolve(None, photos=photos, **options)
    facts = advice_facts(advice_for(config, screen, started=process_start_time()), config)
    if session.json:
        session.print_json(facts)
    elif session.quiet:
        session.print(facts["next"])
    else:
        show_advice(facts, screen)
