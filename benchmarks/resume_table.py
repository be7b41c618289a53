"""Samples that are trained on twice or never after a kill inside an epoch: regraft beside recipes for resuming.

    python benchmarks/resume_table.py [regraft accelerate ...]

Two processes train for two epochs. In the middle of the second, process 1 is killed by SIGKILL. The same script then
resumes from its newest checkpoint, with two processes or with one, in the way that the documentation of each library
describes. The module counts in a buffer how often each sample was trained on, so that the count is part of every
checkpoint. `accelerate`, `lightning`, `torchdata` and `psutil` are not in the development environment of regraft:
install them into a folder of its own, and add it to PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from _resume_recipes import EPOCHS, RECIPES, SAMPLES, WAYS, computed


def forked(size: int, work: Callable[[], None]) -> None:
    """Run ``work`` in processes as torchrun starts them; if one is killed, end the others."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    children = []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            os.environ.update(
                RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size), LOCAL_WORLD_SIZE=str(size),
                MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID="table", GROUP_RANK="0",
                OMP_NUM_THREADS="1",
            )  # fmt: skip
            code = 1
            try:
                torch.set_num_threads(1)
                work()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    while children:
        child, status = os.wait()
        children.remove(child)
        if status:
            for other in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(other, signal.SIGKILL)


def measure(name: str, resumed: int) -> str:
    """Return the figures of a recipe that two processes start, and ``resumed`` processes end."""
    train = RECIPES[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["RESUME_TABLE"] = str(folder)
        if name.startswith("Ray"):  # starts its own processes
            train(folder, 2)
            train(folder, resumed)
        else:
            for size in (2, resumed):
                forked(size, lambda size=size: train(folder, size))
        if not (folder / "killed").exists():
            return "was not killed"
        if not (folder / "seen.pt").exists():
            return "did not end"
        seen = torch.load(folder / "seen.pt")
        done = computed(folder)
    twice, never = int((seen > EPOCHS).sum()), int((seen < EPOCHS).sum())
    return f"twice {twice:3}   never {never:3}   computed and lost {done - int(seen.sum()):3}"


def version(package: str) -> str:
    """Return the version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def main() -> None:
    """Print a line for each recipe and number of processes."""
    for module in ("regraft.training", "accelerate", "lightning"):  # once, before the forks
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    names = [name for name in RECIPES if not sys.argv[1:] or any(one in name.lower() for one in sys.argv[1:])]
    packages = ("torch", "accelerate", "lightning", "torchdata", "ray")
    print(", ".join(f"{package} {version(package)}" for package in packages))
    print(f"{SAMPLES} samples, killed in the middle of epoch 2 of {EPOCHS}")
    for name in names:
        print(f"{name}: {WAYS[name]}")
        for resumed in (2, 1):
            print(f"    2 processes, then {resumed}: {measure(name, resumed)}", flush=True)


if __name__ == "__main__":
    main()
