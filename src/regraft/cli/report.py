"""`regraft report`: a run as a page to look at, to mail and to print; or the comparison of several runs."""

from __future__ import annotations

from pathlib import Path

import cloup

from regraft.cli.options import PATH, output_options, pass_session
from regraft.cli.output import Session
from regraft.errors import RunFolderError
from regraft.text import file_size

_EXAMPLES = """\b
Examples:
  regraft report runs/photos-auto-001 --open
  regraft report runs/photos-auto-001 --pdf report.pdf
  regraft report runs/photos-linear-probe-001 runs/photos-auto-001"""


@cloup.command(name="report", short_help="Show a run as a page, or compare runs.", epilog=_EXAMPLES)
@cloup.argument("runs", metavar="RUN...", type=PATH, nargs=-1, required=True, help="One run folder, or several.")
@cloup.option("-o", "--out", type=PATH, metavar="FILE", help="Write the page to this file.")
@cloup.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@cloup.option("--pdf", type=PATH, metavar="FILE", help="Also print it into a PDF file, with Chrome, Chromium or Edge.")
@output_options(quiet="Print only the page.")
@pass_session
def report(session: Session, runs: tuple[Path, ...], out: Path | None, show: bool, pdf: Path | None) -> None:
    """Write the report of a run: one page that needs no network and no other file.

    A training writes it as RUN/report.html; unfinished and damaged runs have one too. With several runs, the first is
    compared with each of the others, photo by photo; the page is compare-with-RUN2.html in the first run folder.
    """
    from regraft.report.compare_page import write_comparison
    from regraft.report.pdf import print_pdf
    from regraft.report.run_page import write_report
    from regraft.run.removal import COMPARISON

    first, *others = runs
    page = out or first / (f"{COMPARISON}{others[0].resolve().name}.html" if others else "report.html")
    try:
        if others:
            write_comparison(runs, page)
        else:
            write_report(first, page)
    except OSError as error:
        raise RunFolderError(
            f"cannot write {page}: {error.strerror or error}\n  name another file with -o FILE"
        ) from error
    if pdf is not None:
        print_pdf(page, pdf)
    _print(session, [page, *([pdf] if pdf is not None else [])])
    if show:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


def _print(session: Session, files: list[Path]) -> None:
    """Print the files that were written."""
    if session.json:
        session.print_json({"report": str(files[0]), "pdf": str(files[1]) if len(files) > 1 else None})
    elif session.quiet:
        session.print(str(files[0]))
    else:
        for file in files:
            session.screen().line("report", f"{file}   {file_size(file.stat().st_size)}")
