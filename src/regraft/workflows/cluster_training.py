"""`train --on ray`: the same training, in processes that Ray Train starts on the machines of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.context.config import TrainConfig, resolve
from regraft.errors import ConfigError, RunFolderError
from regraft.on_ray.training_processes import run_in_processes
from regraft.run.folder import open_run_folder
from regraft.screen import Screen
from regraft.workflows.steps.workers import check_options, shards_of
from regraft.workflows.train import train_config

if TYPE_CHECKING:
    from regraft.workflows.run import Run


def train_on_cluster(config: TrainConfig, on: str, processes: int | None, screen: Screen) -> Run:
    """Train as ``config`` says on a Ray cluster, and return the finished run.

    Args:
        config: the configuration.
        on: ``ray``, or the address of a cluster.
        processes: maximum number of processes; None for one per GPU, or per processor, up to the number of shards.
        screen: shows what process 0 shows.

    Raises:
        ConfigError: an option does not suit processes that train together, or the cluster is unavailable.
        RunFolderError: the run folder is not in a place that this machine sees.
    """
    check_options(config, "--on ray", restarted=True)
    if config.stop_after is not None:
        raise ConfigError("--stop-after: a training on a cluster has no limit of time; expected the option left out")
    arguments = {**config.as_dict(), "worker_timeout": config.worker_timeout}
    limit = shards_of(config)
    place = run_in_processes(on, processes, train_in_process, arguments, screen, limit=limit)
    try:
        folder = open_run_folder(Path(place))
    except RunFolderError as error:
        raise RunFolderError(f"the run folder {place} is on a machine of the cluster, and not here") from error
    from regraft.workflows.run import Run

    return Run(folder.path, config, folder.read_metrics())


def train_in_process(arguments: Mapping[str, Any], screen: Screen) -> str:
    """Train in one process of several, and return the run folder."""
    return str(train_config(resolve(None, **arguments), screen).folder.absolute())
