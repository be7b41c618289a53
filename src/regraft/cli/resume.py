"""`regraft resume`: an interrupted run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cloup

from regraft.cli.options import PATH, going_on_options, output_options, pass_session, workers_option
from regraft.cli.output import Session, show


@cloup.command(name="resume", short_help="Go on with a run that was interrupted.")
@cloup.argument("run", type=PATH, help="The run folder.")
@cloup.option_group("Going on after an interruption", *going_on_options())
@cloup.option_group("Machine", workers_option())
@output_options(quiet="Say nothing but warnings; print the run folder at the end.")
@pass_session
def resume(session: Session, /, run: Path, **options: Any) -> None:
    """Go on with RUN where it was interrupted.

    It ends with the same weights as if nothing had happened. Photos, arguments and pretrained weights have to be what
    they were; if not, what differs is named. A finished run is shown again.
    """
    from regraft.process import process_start_time
    from regraft.workflows.train import resume as go_on

    screen = session.screen()
    given = {name: value for name, value in options.items() if value is not None}
    show(session, go_on(run, screen=screen, started=process_start_time(), **given), screen)
