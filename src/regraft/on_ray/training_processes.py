"""Processes that train together on a Ray cluster. Ray Train starts them, and starts them again when one dies.

The number of processes may change between two attempts: a machine that is lost is done without, and one that joins is
used. The result does not depend on it, because regraft's trainings resume in any number of processes.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.errors import ConfigError, RegraftError, WorkersError
from regraft.on_ray.cluster import ClusterError, check_agreement, connect, versions
from regraft.on_ray.sent_screen import Message, SentScreen, ShownMessages
from regraft.screen import QuietScreen, Screen

MAX_RESTARTS = 10
"""Number of times that a training is started again, after a process died."""

_POLL = 0.2  # seconds between two looks for messages
_VARIABLES = "REGRAFT_"

Work = Callable[[Mapping[str, Any], Screen], str]
"""A training: gets its arguments and a screen, and returns the place of its result. Every process calls it."""


@dataclass(frozen=True)
class _Task:
    """All that a process needs.

    Attributes:
        work: the training.
        arguments: its arguments.
        folder: the current folder, in which relative paths are meant.
        agreed: versions of the machine that started the training.
        desk: the actor that collects messages and the result.
    """

    work: Work
    arguments: Mapping[str, Any]
    folder: str
    agreed: dict[str, str]
    desk: Any


class Desk:
    """The actor to which the processes of a training send messages, their result and a final error."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._attempts = 0
        self._result: str | None = None
        self._error: tuple[type[RegraftError], str] | None = None

    def begin(self) -> int:
        """Count an attempt, and return its number from 1."""
        self._attempts += 1
        return self._attempts

    def send(self, message: Message) -> None:
        """Add a message."""
        self._messages.append(message)

    def take(self) -> list[Message]:
        """Return the messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def finish(self, result: str) -> None:
        """Set the result."""
        self._result = result

    def fail(self, kind: type[RegraftError], text: str) -> None:
        """Set the final error, after which no attempt is made; of several errors the first."""
        if self._error is None:
            self._error = kind, text

    def outcome(self) -> tuple[str | None, tuple[type[RegraftError], str] | None]:
        """Return the result and the final error, as far as there are any."""
        return self._result, self._error


def run_in_processes(
    on: str, processes: int | None, work: Work, arguments: Mapping[str, Any], screen: Screen, *, limit: int
) -> str:
    """Return what ``work`` returns in process 0 of several on a Ray cluster.

    Args:
        on: see `regraft.on_ray.cluster.connect`.
        processes: maximum number of processes; None for one per GPU of the cluster, or per processor if it has none,
            and not more than ``limit``.
        work: the training; a function of a module, so that every machine can import it.
        arguments: its arguments.
        screen: shows what process 0 shows.
        limit: number of processes that the training can use.

    Raises:
        MissingExtraError, ConfigError: the cluster is unavailable, or too small.
        ClusterError: a machine has other versions, or processes died more than `MAX_RESTARTS` times.
        RegraftError: the error that ended the training in a process.
    """
    ray = connect(on)
    count, use_gpu = _size(ray, processes, limit)
    desk = ray.remote(num_cpus=0)(Desk).options(scheduling_strategy=_this_machine(ray)).remote()
    task = _Task(work, arguments, str(Path.cwd()), versions(), desk)
    screen.line("cluster", f"processes of Ray Train: {count} at most, started again {MAX_RESTARTS} times at most")
    shown, failures = ShownMessages(screen), list[BaseException]()
    with tempfile.TemporaryDirectory(prefix="regraft-ray-") as folder:
        thread = threading.Thread(target=_fit, args=(task, count, use_gpu, folder, failures), daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_POLL)
            shown.show(ray.get(desk.take.remote()))
    shown.close()
    result, error = ray.get(desk.outcome.remote())
    ray.kill(desk)
    if error is not None:
        kind, text = error
        raise kind.__new__(kind, text)
    if result is None:
        raise _lost(failures)
    return str(result)


def _fit(task: _Task, count: int, use_gpu: bool, folder: str, failures: list[BaseException]) -> None:
    """Run the training by Ray Train, and add its error to ``failures`` if it has one."""
    import ray.train
    from ray.train.torch import TorchTrainer

    package: Any = ray.train  # its types are those of an older interface
    variables = {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)}
    try:
        TorchTrainer(
            _in_process,
            train_loop_config={"task": task},
            scaling_config=package.ScalingConfig(num_workers=(1, count), use_gpu=use_gpu),
            run_config=package.RunConfig(
                storage_path=folder,  # for checkpoints of Ray Train; there are none
                failure_config=package.FailureConfig(max_failures=MAX_RESTARTS),
                logging_config=package.LoggingConfig("ERROR"),
                worker_runtime_env={"env_vars": variables},
            ),
        ).fit()
    except Exception as error:  # noqa: BLE001  (shown by the thread that waits)
        failures.append(error)


def _in_process(config: dict[str, Any]) -> None:
    """Run the training in one process of Ray Train, which has joined the others already."""
    import ray

    task: _Task = config["task"]
    _, error = ray.get(task.desk.outcome.remote())
    if error is not None:  # of the attempt before
        return
    try:
        leads = os.environ["RANK"] == "0"
        check_agreement(task.agreed, versions())
        _enter(task.folder)
        screen = _sent_screen(task.desk) if leads else QuietScreen()
        result = task.work(task.arguments, screen)
        if leads:
            ray.get(task.desk.finish.remote(result))
    except RegraftError as raised:
        if not (isinstance(raised, WorkersError) and raised.lost):  # otherwise Ray Train starts all of them again
            ray.get(task.desk.fail.remote(type(raised), str(raised)))
        raise


def _sent_screen(desk: Any) -> Screen:
    """Return the screen of process 0, which first shows that this is not the first attempt."""
    import ray

    screen = SentScreen(desk.send.remote)
    attempt = ray.get(desk.begin.remote())
    if attempt > 1:
        number, size = attempt - 1, int(os.environ["WORLD_SIZE"])
        screen.warn(f"restart {number}: the training resumes from its last snapshot, number of processes: {size}")
    return screen


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise ConfigError(
            f"--on: the current folder {folder} is missing on a machine of the cluster ({error.strerror})\n"
            "  start the training in a folder that all machines share"
        ) from error


def _size(ray: Any, processes: int | None, limit: int) -> tuple[int, bool]:
    """Return the maximum number of processes, and whether each has a GPU."""
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    there = gpus or max(1, int(resources.get("CPU", 1)))
    if processes is not None and processes > there:
        if gpus:
            raise ConfigError(f"--processes: expected at most the {gpus} GPUs of the cluster, found {processes}")
        raise ConfigError(f"--processes: expected at most the {there} processors of the cluster, found {processes}")
    return processes or min(there, limit), gpus > 0


def _this_machine(ray: Any) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)


def _lost(failures: list[BaseException]) -> ClusterError:
    why = " ".join(str(failures[0]).split())[:300] if failures else "no result"
    return ClusterError(
        f"the training on the cluster failed, after {MAX_RESTARTS} restarts at most; Ray Train reports: {why}\n"
        "  the same command resumes it from its last snapshot"
    )
