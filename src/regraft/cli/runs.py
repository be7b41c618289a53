"""`regraft runs`: the runs in a folder as a list, the comparison of two of them, and their removal."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import cloup

from regraft.cli.options import PATH, output_options, pass_session
from regraft.cli.output import Session
from regraft.language import translate

_EXAMPLES = """\b
Examples:
  regraft runs
  regraft runs compare photos-linear-probe-001 photos-auto-001
  regraft runs remove photos-linear-probe-001"""


@cloup.group(name="runs", short_help="List, compare and remove runs.", epilog=_EXAMPLES, invoke_without_command=True)
@cloup.option(
    "--in", "base", type=PATH, default=Path("runs"), show_default=True, metavar="DIR", help="The folder of the runs."
)
@output_options(quiet="Print only the run folders.")
@click.pass_context
def runs(context: click.Context, base: Path) -> None:
    """List the runs in the folder runs: accuracy with its 95 % interval, recipe, photos, size and date.

    The accuracy was measured on photos of a test set (test), of a given validation set (val), or by cross-validation
    (folds). Accuracies on different photos differ by chance: compare does it photo by photo.
    """
    context.meta["regraft.runs"] = base
    if context.invoked_subcommand is None:
        _list(context.ensure_object(Session), base)


@runs.command(name="compare", short_help="Compare two runs photo by photo.")
@cloup.argument("first", metavar="A", help="A run folder, or its name.")
@cloup.argument("second", metavar="B", help="Another one.")
@output_options(quiet="Print only the difference of the accuracies, B minus A.")
@pass_session
def compare(session: Session, first: str, second: str) -> None:
    """Compare the runs A and B on the photos that both were measured on, and list the settings that differ."""
    from regraft.report.run_comparison import compare_runs, show_comparison
    from regraft.report.run_list import find_run

    base = click.get_current_context().meta["regraft.runs"]
    a, b = find_run(first, base), find_run(second, base)
    comparison = compare_runs(a, b)
    if session.json:
        session.print_json(comparison.as_dict())
    elif session.quiet:
        session.print(f"{comparison.difference[0]:+.4f}" if comparison.n else "nan")
    else:
        show_comparison(comparison, (a.read_metrics(), b.read_metrics()), session.screen())


@runs.command(name="remove", short_help="Remove runs.")
@cloup.argument("names", metavar="RUN...", nargs=-1, required=True, help="Run folders, or their names.")
@cloup.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_options(quiet="Print nothing.")
@pass_session
def remove(session: Session, names: tuple[str, ...], yes: bool) -> None:
    """Remove the folders of RUNs, after asking. Files in them that regraft has not written are kept."""
    from regraft.report.run_list import find_run, run_facts
    from regraft.run.removal import remove_run
    from regraft.text import counted, file_size

    context = click.get_current_context()
    folders = list(dict.fromkeys(find_run(name, context.meta["regraft.runs"]).path for name in names))
    size = sum(run_facts(folder).size for folder in folders)
    if not yes:
        if session.json or not sys.stdin.isatty():
            raise click.UsageError("expected --yes, because there is no terminal to ask in", context)
        for folder in folders:
            session.print(str(folder))
        click.confirm(translate(f"Remove {counted(len(folders), 'run')}, {file_size(size)}?"), abort=True)
    kept = [path for folder in folders for path in remove_run(folder)]
    if session.json:
        session.print_json({"removed": [str(folder) for folder in folders], "kept": [str(path) for path in kept]})
        return
    screen = session.screen()
    screen.line("removed", f"{counted(len(folders), 'run')} · {file_size(size)} freed")
    for path in kept:
        screen.warn(f"kept {path}, which regraft did not write")


def _list(session: Session, base: Path) -> None:
    from regraft.report.run_list import HEADING, OPTIONAL, RIGHT, list_runs
    from regraft.text import command

    listed = list_runs(base)
    if session.json:
        session.print_json({"runs": [run.as_dict() for run in listed]})
    elif session.quiet:
        for run in listed:
            session.print(str(run.folder))
    elif not listed:
        screen = session.screen()
        screen.line("runs", f"no runs in {base}: start one with regraft train PHOTOS, or name another folder with --in")
    else:
        session.table([HEADING, *(run.row() for run in listed)], right=RIGHT, optional=OPTIONAL)
        finished = [run.folder.name for run in listed if run.measured][:2]
        if len(finished) == 2:
            session.print("")
            session.screen().line("compare", command("regraft", "runs", "compare", *reversed(finished)))
