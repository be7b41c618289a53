"""`regraft check`: what is wrong with photos and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from regraft.cli.options import PATH, device_option, network_options, output_options, pass_session, workers_option
from regraft.cli.output import Session

LEVELS = ("info", "warning", "error")

_EXAMPLES = """\b
Examples:
  regraft check photos
  regraft check photos -o checked          and look at checked/check.html
  regraft check photos --review            decide in the terminal
  regraft train photos --decisions decisions.csv
  regraft check photos --strict error      for a script: exit code 2 where there is one"""


@cloup.command(name="check", short_help="Say what is wrong with photos and labels.", epilog=_EXAMPLES)
@cloup.argument("photos", type=PATH, help="A folder with one folder per class, or with train/ and val/ [and test/].")
@cloup.option_group(
    "Result",
    cloup.option(
        "-o", "--out", type=PATH, metavar="DIR", help="Write check.html, check.json and check.csv into this folder."
    ),
    cloup.option(
        "--strict",
        type=click.Choice(LEVELS),
        help="End with exit code 2 where a finding is of this level or above.",
    ),
    cloup.option(
        "--thorough",
        is_flag=True,
        help="Doubt labels by fine-tuned networks too: finds more wrong ones, and takes minutes.",
    ),
    cloup.option("--review", is_flag=True, help="Decide about the findings here, into the file of --decisions."),
)
@cloup.option_group(
    "Photos",
    cloup.option("--labels", type=PATH, metavar="CSV", help="Labels from a CSV of path,label[,split,group]."),
    cloup.option(
        "--group-by",
        metavar="RULE",
        help="Photos that belong together: parent, exif-burst, column:NAME of the CSV, or a regular expression.",
    ),
    cloup.option(
        "--decisions",
        type=PATH,
        metavar="CSV",
        help="What was decided before: path,decision,why. With --review it is written; decisions.csv if not given.",
    ),
)
@network_options()
@cloup.option_group("Machine", device_option(), workers_option())
@output_options(quiet="Say nothing but what --strict says.")
@pass_session
def check(
    session: Session,
    /,
    photos: Path,
    out: Path | None,
    strict: str | None,
    review: bool,
    decisions: Path | None,
    **options: Any,
) -> None:
    """Look at every photo of PHOTOS and say what is wrong: damage, copies, wrong labels, shortcuts.

    Photos are only read, never changed. What to do about a finding goes into a CSV that train takes with --decisions.
    """
    from regraft.data.decisions import read_decisions
    from regraft.report.check_page import write_page
    from regraft.report.check_screen import show_check
    from regraft.workflows.check import CheckOptions, check_photos, demand, write_check

    given = {name: value for name, value in options.items() if value is not None}
    before = decisions if decisions is not None and (decisions.exists() or not review) else None
    screen = session.screen()
    found = check_photos(CheckOptions(photos, decisions=before, **given), screen)
    if out is not None:
        write_check(found, out)
        write_page(found, out, workers=options["workers"])
    if session.json:
        session.print_json(found)
    elif not session.quiet:
        show_check(found, screen)
    if review:
        _review(found, decisions or Path("decisions.csv"), read_decisions(before) if before is not None else [])
    elif not session.json:
        _next(screen, photos, out, found)
    if strict is not None:
        demand(found, strict)


def _review(found: dict[str, Any], file: Path, before: list[Any]) -> None:
    from regraft.cli.review import review as ask
    from regraft.data.decisions import write_decisions

    decided = ask(found, before)
    if decided:
        write_decisions(file, decided)
        click.echo(f"{len(decided):,} decisions in {file}; use them: regraft train … --decisions {file}")


def _next(screen: Any, photos: Path, out: Path | None, found: dict[str, Any]) -> None:
    from regraft.text import command

    if out is not None:
        screen.line("look", f"{out / 'check.html'}   · check.json · check.csv")
    elif found["findings"]:
        screen.line("look", command("regraft", "check", photos, "-o", "checked"), "photos side by side")
