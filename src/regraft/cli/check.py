"""`regraft check`: problems in photos and labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from regraft.cli.cluster_options import on_option, store_option
from regraft.cli.options import (
    PATH,
    Choice,
    device_option,
    network_options,
    output_options,
    pass_session,
    workers_option,
)
from regraft.cli.output import Session
from regraft.cli.photo_options import SELECTION, label_options, moved_option
from regraft.language import translate
from regraft.screen import printable

if TYPE_CHECKING:
    from regraft.data.selection import MovedPhotos

LEVELS = ("info", "warning", "error")

_EXAMPLES = """\b
Examples:
  regraft check photos
  regraft check photos -o checked          then open checked/check.html
  regraft check photos --serve             decide in the browser
  regraft check photos --review            decide in the terminal
  regraft train photos --decisions decisions.csv
  regraft check photos --strict error    for scripts: exit code 1 on errors"""


@cloup.command(name="check", short_help="Find problems in photos and labels.", epilog=_EXAMPLES)
@cloup.argument(
    "photos",
    type=PATH,
    nargs=-1,
    required=True,
    help="A folder with one folder per class, or with train/ and val/ [and test/]; an archive of one; several of "
    "them; or a run folder, for the photos of the run.",
)
@cloup.option_group(
    "Result",
    cloup.option(
        "-o", "--out", type=PATH, metavar="DIR", help="Write check.html, check.json and check.csv into this folder."
    ),
    cloup.option(
        "--strict",
        type=Choice(LEVELS),
        help="Exit with code 1 if there is a finding of this level or a more serious one.",
    ),
    cloup.option(
        "--thorough",
        is_flag=True,
        help="Also check labels with fine-tuned networks: finds more wrong labels, and takes minutes.",
    ),
    cloup.option("--review", is_flag=True, help="Decide about findings in the terminal; writes the --decisions file."),
    cloup.option(
        "--serve",
        is_flag=True,
        help="Decide about findings in the browser, the most useful photo first; each decision is saved at once.",
    ),
)
@cloup.option_group(
    "Photos",
    *label_options(),
    moved_option(
        "With a run folder as PHOTOS: where the photos of the run are now; they are recognized by their content."
    ),
    cloup.option(
        "--group-by",
        metavar="RULE",
        help="Photos that belong together: parent, exif-burst, time, number, look, column:NAME of the CSV, or a "
        "regular expression.",
    ),
    cloup.option(
        "--decisions",
        type=PATH,
        metavar="CSV",
        help="Earlier decisions, as a CSV of path,decision,why. --review and --serve add to it (or to decisions.csv).",
    ),
)
@network_options()
@cloup.option_group("Machine", device_option(), workers_option(), store_option(), on_option())
@output_options(quiet="Print only the message of --strict.")
@pass_session
def check(
    session: Session,
    /,
    photos: tuple[Path, ...],
    out: Path | None,
    strict: str | None,
    review: bool,
    serve: bool,
    decisions: Path | None,
    moved_to: Path | None,
    **options: Any,
) -> None:
    """Find problems in PHOTOS: damaged files, duplicates, wrong labels, shortcuts.

    Photos are only read, never changed. Decisions about findings go into a CSV that train reads with --decisions.
    """
    if review + serve + session.json > 1:
        how = "--review asks in the terminal and --serve in the browser; neither goes with the other, or with --json"
        raise click.UsageError(how, click.get_current_context())
    from regraft.context.commands import check_command, train_command
    from regraft.data.decisions import read_decisions
    from regraft.data.selection import PhotoSelection
    from regraft.report.check_page import write_page
    from regraft.report.check_screen import show_check
    from regraft.workflows.check import CheckOptions, check_photos, fail_on, write_check

    checked, moved = _photos_to_check(photos, options, moved_to)
    decisions = decisions or checked.pop("decisions", None)
    file, asks = decisions or Path("decisions.csv"), review or serve
    earlier = file if (decisions is not None or asks) and (file.exists() or not asks) else None
    screen = session.screen()
    others = {name: value for name, value in checked.items() if name not in SELECTION}
    selection = PhotoSelection.from_options(checked)
    result = check_photos(CheckOptions(selection, **others, decisions=earlier, moved=moved), screen)
    checked["decisions"] = earlier
    train = train_command({**checked, "decisions": file})
    if out is not None:
        write_check(result, out)
        write_page(result, out, train=train, workers=options["workers"], moved=None if moved is None else moved.paths)
    if session.json:
        session.print_json(result)
    elif not session.quiet:
        show_check(result, screen)
    if review:
        _review(result, file, read_decisions(earlier) if earlier is not None else [], train)
    elif serve:
        from regraft.cli.browser_review import review_check

        review_check(result, file, train, screen, None if moved is None else moved.paths)
    elif not session.json:
        _show_next(screen, out, result, check_command(checked, "-o", "checked"))
    if strict is not None:
        fail_on(result, strict)


def _photos_to_check(
    photos: tuple[Path, ...], options: dict[str, Any], moved_to: Path | None
) -> tuple[dict[str, Any], MovedPhotos | None]:
    """Return all options of a check, those of a run if ``photos`` is a run folder, and where its photos are now."""
    from regraft.data.photo_places import photo_places
    from regraft.run.folder import RunFolder
    from regraft.workflows.steps.photos_of_run import moved_photos, photo_options

    run = RunFolder(photos[0])
    of_run = len(photos) == 1 and run.config.exists() and run.events.exists()
    if moved_to is not None and not of_run:
        message = "--photos applies only with a run folder: regraft check RUN --photos FOLDER"
        raise click.UsageError(message, click.get_current_context())
    if of_run:
        places = photo_options(run)
        if options.get("labels") is not None:
            places.pop("stored_labels", None)
    else:
        folders, labels = photo_places(photos, options.get("labels"))
        options = {**options, "labels": labels}
        places = {"photos": folders[0], "more_photos": folders[1:]}
    moved = None if moved_to is None else moved_photos(run, moved_to, options["workers"])
    return {**places, **{name: value for name, value in options.items() if value is not None}}, moved


def _review(result: dict[str, Any], file: Path, earlier: list[Any], train: str) -> None:
    from regraft.cli.review import review as ask
    from regraft.data.decisions import write_decisions

    try:
        decisions = ask(result, earlier, lambda made: write_decisions(file, made))
    except (click.Abort, KeyboardInterrupt) as stop:
        if file.exists():
            stop.add_note(f"your decisions are in {file}; the same command continues")
        raise
    if decisions:
        click.echo(translate(f"{len(decisions):,} decisions in {file}; use them: {printable(train)}"))


def _show_next(screen: Any, out: Path | None, result: dict[str, Any], side_by_side: str) -> None:
    if out is not None:
        screen.line("look at", f"{out / 'check.html'}   · check.json · check.csv")
    elif any(not finding["decided"] for finding in result["findings"]):
        screen.line("look at", side_by_side, "photos side by side")
