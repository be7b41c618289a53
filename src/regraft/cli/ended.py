"""How a finished run is shown, in the way that the call asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regraft.cli.session import Session

if TYPE_CHECKING:
    from regraft.recipes.run import Run
    from regraft.screen import Screen


def show(session: Session, run: Run, screen: Screen) -> None:
    """Show ``run``: as one JSON object, as its folder alone, or as a person wants to see it."""
    from regraft.report.summary import show_run

    if session.json:
        session.print_json({"run": str(run.folder), "model": str(run.folder / "model.safetensors"), **run.metrics})
    elif session.quiet:
        session.print(str(run.folder))
    else:
        show_run(run.folder, screen)
