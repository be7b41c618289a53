"""A training from its photos to the finished run folder."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable

from regraft.context.config import RecipeName, TrainConfig
from regraft.context.run_context import Job
from regraft.disk.atomic import make_folder, write_json
from regraft.errors import SnapshotError
from regraft.interrupts import Terminated, TimeUp
from regraft.recipes import auto, feature_extraction, fine_tune, linear_probe
from regraft.recipes.result import Outcome
from regraft.recipes.steps.epoch_callbacks import say_uncalled
from regraft.run.environment import describe_environment
from regraft.run.folder import FORMAT
from regraft.screen import Screen
from regraft.workflows.prepare import look, start
from regraft.workflows.prepared_photos import Early
from regraft.workflows.results import finish, rescued
from regraft.workflows.run import Run
from regraft.workflows.run_directory import clear

RECIPES: dict[RecipeName, Callable[[Job], Outcome]] = {
    "auto": auto.run,
    "linear-probe": linear_probe.run,
    "feature-extraction": feature_extraction.run,
    "fine-tune": fine_tune.run,
}


def carry_out(config: TrainConfig, screen: Screen, early: Early, started: float) -> Run:
    """Train as the resolved ``config`` says; see `regraft.workflows.train.train_config`.

    Args:
        config: what to do.
        screen: where progress is said.
        early: the photos.
        started: when the process began (seconds since 1970).
    """
    job = start(config, screen, early, started)
    if isinstance(job, Run):
        return job
    try:
        return _trained(job, early)
    except (KeyboardInterrupt, Terminated, TimeUp) as stop:
        job.note("stopped", by=type(stop).__name__)
        stop.add_note(f"what was done is kept; go on with: regraft resume {shlex.quote(str(job.folder.path))}")
        raise
    except SnapshotError as error:
        error.add_note("or leave it, and add --fresh to begin anew beside it")
        raise
    finally:
        job.close()


def _trained(job: Job, early: Early) -> Run:
    look(job, early)
    outcome = RECIPES[job.config.recipe](job)
    say_uncalled(job)
    try:
        make_folder(job.folder.path)  # whoever removed it cannot have meant the result
        if not job.folder.config.exists():
            write_json(job.folder.environment, {"format": FORMAT, **describe_environment()})
            write_json(job.folder.config, {"format": FORMAT, **job.config.as_dict(), "choices": job.choices})
        metrics = finish(job, outcome)
    except OSError as error:
        raise rescued(job, outcome, error) from error
    spent = job.spent + time.time() - job.started
    job.note("end", chosen=outcome.chosen, seconds=round(spent, 2))
    job.close()
    clear(job.folder)
    return Run(job.folder.path, job.config, metrics)
