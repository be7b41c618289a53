"""Several processes in a test: forks of this one, connected by gloo, which cost no import of torch."""

from __future__ import annotations

import json
import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def forked(size: int, folder: Path, work: Callable[[], Any], **environment: str) -> list[Any]:
    """Return what ``work`` returns in each of ``size`` processes, by rank; a text of its error where it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    children = []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            os.environ.update({**common, "RANK": str(rank), **environment})
            try:
                result = {"result": work()}
            except BaseException as error:  # noqa: BLE001  (the parent looks at it)
                result = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
            (folder / f"{rank}.json").write_text(json.dumps(result))
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    results = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]
    return [result.get("result", result.get("error")) for result in results]
