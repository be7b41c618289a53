"""`regraft resume`: an interrupted run, continued from its last snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cloup

from regraft.cli.options import PATH, output_options, pass_session, resume_options, workers_option
from regraft.cli.output import Session, show_result
from regraft.cli.photo_options import moved_option


@cloup.command(name="resume", short_help="Continue an interrupted run.")
@cloup.argument("run", type=PATH, help="The run folder.")
@cloup.option_group(
    "Photos",
    moved_option(
        "Folder or archive where the photos are now, if they have moved; they are recognized by their content."
    ),
)
@cloup.option_group("Interruptions", *resume_options())
@cloup.option_group("Machine", workers_option())
@output_options(quiet="Print only warnings, and the run folder at the end.")
@pass_session
def resume(session: Session, /, run: Path, moved_to: Path | None, **options: Any) -> None:
    """Continue RUN where it was interrupted.

    It ends with the same weights as without the interruption. Photos, arguments and pretrained weights must not have
    changed; if they have, the differences are listed. The summary of a finished run is shown again.
    """
    from regraft.process import process_start_time
    from regraft.workflows.train import resume as resume_run

    screen = session.screen()
    set_options = {name: value for name, value in options.items() if value is not None}
    result = resume_run(run, screen=screen, started=process_start_time(), photos=moved_to, **set_options)
    show_result(session, result, screen)
