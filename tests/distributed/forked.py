"""Several processes in a test: forks of this one, connected by gloo, which cost no import of torch."""

from __future__ import annotations

import json
import os
import signal
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def forked(
    size: int, folder: Path, work: Callable[[], Any], *, kill_after_first: bool = False, **environment: str
) -> list[Any]:
    """Return what ``work`` returns in each of ``size`` processes, by rank; a text of its error where it fails.

    None stands for a process that was killed. With ``kill_after_first`` all are killed when process 0 has ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    children = []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            try:
                os.environ.update({**common, "RANK": str(rank), **environment})
                os.dup2(os.open(folder / f"{rank}.stderr", os.O_WRONLY | os.O_CREAT), 2)
                torch.set_num_threads(1)
                (folder / f"{rank}.json").write_text(json.dumps(_outcome(work)))
            finally:
                os._exit(0)
        children.append(child)
    for rank, child in enumerate(children):
        if rank and kill_after_first:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return [_result(folder / f"{rank}.json") for rank in range(size)]


def _outcome(work: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"result": work()}
    except BaseException as error:  # noqa: BLE001  (the test looks at it)
        return {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}


def _result(file: Path) -> Any:
    if not file.exists():
        return None
    content = json.loads(file.read_text())
    return content.get("result", content.get("error"))
