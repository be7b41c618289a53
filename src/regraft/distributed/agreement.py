"""The agreement of processes: equal software, photos and weights, and folders that all of them see."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from regraft.distributed.world import current
from regraft.errors import WorkersError, several


def check_equal(facts: Mapping[str, str]) -> None:
    """Check that ``facts`` are the same in every process.

    Raises:
        WorkersError: they differ; all differences are named.
    """
    everywhere = current().gather((socket.gethostname(), dict(facts)))
    _, first = everywhere[0]
    differences = [
        f"{name} is {other[name]} in process {rank} on {host}, and {first[name]} in process 0"
        for rank, (host, other) in enumerate(everywhere)
        for name in first
        if other[name] != first[name]
    ]
    if differences:
        raise WorkersError(
            several("the processes of this training differ", differences)
            + "\n  install the same packages on every machine, and give all of them the same photos and weights"
        )


def check_shared(folders: Sequence[Path]) -> None:
    """Check that every process sees the same ``folders``, by a file that process 0 writes there for a moment.

    Args:
        folders: folders of process 0; the others are told them.

    Raises:
        WorkersError: a process sees another folder of the same name, or none.
    """
    world = current()
    if world.size == 1:
        return
    places, mark = world.broadcast(([str(folder.absolute()) for folder in folders], f".shared-{secrets.token_hex(8)}"))
    marks = [Path(place) / mark for place in places]
    try:
        if world.rank == 0:
            for path in marks:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        world.gather(None)
        seen = world.gather((socket.gethostname(), [path.exists() for path in marks]))
    finally:
        if world.rank == 0:
            for path in marks:
                with contextlib.suppress(OSError):
                    path.unlink()
    missing = [
        f"process {rank} on {host} does not see {place}"
        for rank, (host, found) in enumerate(seen)
        for place, exists in zip(places, found, strict=True)
        if not exists
    ]
    if missing:
        raise WorkersError(
            several("the processes of this training do not share their folders", missing)
            + "\n  name a run folder with -o, and a cache with REGRAFT_CACHE, in a place that all machines see"
        )
