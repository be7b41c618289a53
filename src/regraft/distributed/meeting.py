"""The meeting of the processes of one attempt, before they connect to each other.

`torchrun` restarts its processes with the store of the attempt before, which still contains the addresses of dead
processes. Here all processes agree on a new name, under which the addresses of this attempt are stored.
"""

from __future__ import annotations

import datetime as dt
import os
import time
import uuid
from typing import Any

import torch.distributed as dist

_EVERY = 0.02  # seconds between two looks into the store


def meet(limit: float) -> Any:
    """Return a store that only the processes of this attempt use.

    Args:
        limit: seconds to wait for all of them.

    Raises:
        TimeoutError: a process did not come.
        RuntimeError: the store cannot be reached.
    """
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    of_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store: Any = dist.TCPStore(  # type: ignore[attr-defined]
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=rank == 0 and not of_agent,
        timeout=dt.timedelta(seconds=limit),
    )
    end = time.monotonic() + limit
    name = _invite(store, size, end) if rank == 0 else _answer(store, rank, end)
    return dist.PrefixStore(f"regraft/{name}", store)  # type: ignore[attr-defined]


def _invite(store: Any, size: int, end: float) -> str:
    """Return a new name, after all other processes have learned it."""
    name = uuid.uuid4().hex
    said = ""
    while True:
        keys = [f"regraft/hello/{rank}" for rank in range(1, size)]
        hellos = " ".join([name, *(store.get(key).decode() for key in keys if store.check([key]))])
        if hellos != said:  # what a process of an earlier attempt has left is replaced when the new one comes
            said = hellos
            store.set("regraft/invitation", said)
        if all(store.check([f"regraft/{name}/answer/{rank}"]) for rank in range(1, size)):
            return name
        _wait(end)


def _answer(store: Any, rank: int, end: float) -> str:
    """Return the name in the invitation that names this process."""
    own = uuid.uuid4().hex
    store.set(f"regraft/hello/{rank}", own)
    while True:
        if store.check(["regraft/invitation"]):
            name, *guests = store.get("regraft/invitation").decode().split()
            if own in guests:
                store.set(f"regraft/{name}/answer/{rank}", "yes")
                return str(name)
        _wait(end)


def _wait(end: float) -> None:
    if time.monotonic() > end:
        raise TimeoutError("a process did not come in time")
    time.sleep(_EVERY)
