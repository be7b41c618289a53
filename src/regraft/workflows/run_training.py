"""A training from its photos to the finished run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from regraft.advice.own_runs import record_run
from regraft.context.config import BUILT_IN_CALLBACK_OPTIONS, TrainConfig
from regraft.context.option_values import RecipeName
from regraft.context.run_context import RunContext
from regraft.context.unused_options import EPOCH_OPTIONS, given_options, options_text
from regraft.disk.atomic import make_folder, write_json
from regraft.distributed.world import current
from regraft.errors import RunFolderError, SnapshotError
from regraft.interrupts import Terminated, TimeUp
from regraft.recipes import auto, feature_extraction, fine_tune, linear_probe
from regraft.recipes.result import RecipeResult
from regraft.report import run_page
from regraft.run.environment import describe_environment
from regraft.run.folder import FORMAT
from regraft.screen import Screen
from regraft.text import command
from regraft.workflows.run import Run
from regraft.workflows.steps.choose_backbone import BackboneChoice
from regraft.workflows.steps.comparisons import compare
from regraft.workflows.steps.features_and_split import compute_features_and_split
from regraft.workflows.steps.novelty import measure_novelty
from regraft.workflows.steps.prepare import PreparedRun, prepare_run
from regraft.workflows.steps.prepared_photos import PreparedPhotos
from regraft.workflows.steps.results import save_elsewhere, save_model, write_results
from regraft.workflows.steps.run_directory import clear
from regraft.workflows.steps.tracked_run import tracked

RUN_RECIPE: dict[RecipeName, Callable[[RunContext], RecipeResult]] = {
    "auto": auto.run,
    "linear-probe": linear_probe.run,
    "feature-extraction": feature_extraction.run,
    "fine-tune": fine_tune.run,
}


def run_training(
    config: TrainConfig,
    screen: Screen,
    prepared: PreparedPhotos,
    started: float,
    backbone: BackboneChoice | None = None,
) -> Run:
    """Train as the resolved ``config`` says, and return the run; see `regraft.workflows.train.train_config`.

    Args:
        config: the configuration.
        screen: where progress and warnings go.
        prepared: the photos.
        started: start of the process, in seconds since 1970.
        backbone: the choice of the network, if it was chosen.
    """
    with (
        prepare_run(config, screen, prepared, started) as run,
        _interruptions_explained(run),
        tracked(prepared.user_callbacks, config, run.folder, screen),
    ):
        if backbone is not None:
            backbone.record(run.decisions)
        context = compute_features_and_split(run, prepared)
        result = RUN_RECIPE[config.recipe](context)
        if current().rank:
            return Run(run.folder.path, config, {})  # process 0 writes and measures the result
        _warn_unused(context)
        measure_novelty(context, result)
        with _model_rescued(context, result):
            _restore_folder(context)
            save_model(context, result)
            comparisons = compare(context, result)
            metrics = write_results(context, result, comparisons)
        seconds = run.decisions.spent + time.time() - started
        run.decisions.note("end", chosen=result.chosen, seconds=round(seconds, 2))
        record_run(metrics, (entry.content for entry in context.dataset.usable), config.seed)
    clear(run.folder)
    write_report_or_warn(run.folder.path, screen)
    return Run(run.folder.path, config, metrics)


def write_report_or_warn(run: Path, screen: Screen) -> None:
    """Write ``report.html``; if it cannot be written, warn, because the run is finished without it."""
    try:
        run_page.write_report(run)
    except (OSError, RunFolderError) as error:
        why = getattr(error, "strerror", None) or error
        screen.warn(f"the report could not be written: {why}; later: {command('regraft', 'report', run)}")


@contextmanager
def _model_rescued(context: RunContext, result: RecipeResult) -> Iterator[None]:
    """Save the model elsewhere if this block cannot write to the run folder."""
    try:
        yield
    except OSError as error:
        raise save_elsewhere(context, result, error) from error


def _restore_folder(context: RunContext) -> None:
    """Create the run folder again if it was deleted while the run was in progress."""
    folder = context.folder
    make_folder(folder.path)
    if not folder.config.exists():
        write_json(folder.environment, {"format": FORMAT, **describe_environment()})
        context.decisions.write_config()


@contextmanager
def _interruptions_explained(run: PreparedRun) -> Iterator[None]:
    """Write an interruption of this block to the journal, and add to its message how to continue."""
    try:
        yield
    except (KeyboardInterrupt, Terminated, TimeUp) as stop:
        run.decisions.note("stopped", by=type(stop).__name__)
        stop.add_note(f"progress is saved; continue with: regraft resume {command(run.folder.path)}")
        raise
    except SnapshotError as error:
        error.add_note("or leave the folder unchanged, and add --fresh to start a new run next to it")
        raise


def _warn_unused(context: RunContext) -> None:
    """Warn of callbacks that were never called, and options that were not used, because `auto` kept the probe."""
    if any(event.get("event") == "epoch" for event in context.folder.journal.events()):
        return
    names = [name for callback in context.user_callbacks if (name := type(callback).__name__) != "Track"]
    names += [name for name in BUILT_IN_CALLBACK_OPTIONS if getattr(context.config, name) not in (None, False)]
    if names:
        context.screen.warn(f"{', '.join(names)}: not called, because nothing was trained in epochs")
    unused = given_options(context.config, EPOCH_OPTIONS) if context.config.recipe == "auto" else []
    if unused:
        context.screen.warn(f"{options_text(unused)}: auto kept the linear probe, and trained nothing in epochs")
