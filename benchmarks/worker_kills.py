"""Kill random processes of a training on several processes, and compare its weights with an untouched one.

    python benchmarks/worker_kills.py --kills 50          # any module, processes forked by this script
    python benchmarks/worker_kills.py --kills 5 --command PHOTOS --options "--backbone ... --epochs 5"   # torchrun

Each attempt has another number of processes (1, 2 or 4), and one random process is killed by SIGKILL at a random time.
The next attempt resumes. The network of the first form counts in its weights how often each sample was trained on.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from regraft.errors import WorkersError
from regraft.interrupts import Terminated
from regraft.tensors import tensors_checksum
from regraft.training import Snapshots, Trainer

SAMPLES, BATCH, EPOCHS, SHARDS = 512, 16, 6, 8
SIZES = (1, 2, 4)


class Counting(nn.Module):
    """A small network with dropout and trained normalization that counts the samples that it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(64, 3)
        self.seen: Tensor
        self.register_buffer("seen", torch.zeros(SAMPLES, dtype=torch.float64))

    def forward(self, x: Tensor, number: Tensor) -> Tensor:
        """Return logits, shape (n, 3), for inputs (n, 8) and the numbers of their samples (n,)."""
        if self.training:
            self.seen[number] += 1
        logits: Tensor = self.head(self.body(x))
        return logits


def fit(folder: Path) -> dict[str, object]:
    """Train to the end, and return the checksum of the weights and how often samples were seen."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.randn(SAMPLES, 8)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
    module = Counting()
    trainer = Trainer(module, "adam", "cross_entropy", ["accuracy"], ema=0.9, shards=SHARDS)
    trainer.fit(
        (x, torch.arange(SAMPLES)), y, batch_size=BATCH, epochs=EPOCHS, verbose=0, validation_split=0.125,
        resume=Snapshots(folder, every=1e-3),
    )  # fmt: skip
    visits = module.seen[: SAMPLES * 7 // 8] * SHARDS / EPOCHS  # a count is averaged over the shards
    return {
        "sha256": tensors_checksum(module.state_dict()),
        "twice": int((visits > 1.0).sum()),
        "never": int((visits < 1.0).sum()),
    }


def start(size: int, folder: Path) -> list[int]:
    """Start ``size`` processes that train together, and return their ids."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    children = []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
            try:
                with contextlib.suppress(WorkersError, Terminated):
                    result = fit(folder / "snapshots")
                    if rank == 0:
                        (folder / "result").write_text(repr(result))
            finally:
                os._exit(0)
        children.append(child)
    return children


def kill_module(kills: int, folder: Path, draw: random.Random) -> tuple[str, int, list[int]]:
    """Return the result of a training that was killed ``kills`` times, the kills, and the numbers of processes."""
    done, sizes, longest = 0, list[int](), 0.8
    while not (folder / "result").exists():
        size = draw.choice(SIZES)
        sizes.append(size)
        children = start(size, folder)
        if done < kills:
            time.sleep(draw.uniform(0.05, longest))
            with contextlib.suppress(ProcessLookupError):
                os.kill(draw.choice(children), signal.SIGKILL)
            done += not (folder / "result").exists()
        wait_as_torchrun(children)
    return (folder / "result").read_text(), done, sizes


def wait_as_torchrun(children: list[int]) -> None:
    """Wait for processes; when one of them was killed, terminate the others, as torchrun does."""
    while children:
        child, status = os.wait()
        children.remove(child)
        if os.WIFSIGNALED(status):
            for other in children:
                os.kill(other, signal.SIGTERM)


def command(size: int, photos: str, options: str, out: Path) -> list[str]:
    """Return the command that trains on ``photos`` in ``size`` processes."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)]
    return [
        *torchrun,
        "-m",
        "regraft",
        "train",
        photos,
        "-o",
        str(out),
        "--snapshot-every",
        "0.05s",
        *shlex.split(options),
    ]


def workers_of(process: int) -> list[int]:
    """Return the child processes of a process, on Linux."""
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


def kill_command(
    kills: int, photos: str, options: str, folder: Path, draw: random.Random
) -> tuple[str, int, list[int]]:
    """Return the sha256 of the model of a killed command, the kills, and the numbers of processes."""
    done, sizes, out = 0, list[int](), folder / "run"
    while not (out / "metrics.json").exists():
        size = draw.choice(SIZES[:2])
        sizes.append(size)
        process = subprocess.Popen(
            command(size, photos, options, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if done < kills:
            while not (out / "resume" / "identity.json").exists() and process.poll() is None:
                time.sleep(0.05)
            time.sleep(draw.uniform(4, 16))
            workers = workers_of(process.pid)
            if workers and process.poll() is None:
                os.kill(draw.choice(workers), signal.SIGKILL)
                done += 1
        process.wait()
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest(), done, sizes


def main() -> None:
    """Compare a killed training with an untouched one, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", metavar="PHOTOS")
    parser.add_argument("--options", default="--recipe fine-tune --precision fp32 --epochs 5")
    given = parser.parse_args()
    draw = random.Random(given.seed)  # noqa: S311  (times of kills)
    with tempfile.TemporaryDirectory() as temporary:
        whole, killed = Path(temporary) / "whole", Path(temporary) / "killed"
        whole.mkdir(), killed.mkdir()
        if given.command:
            expected, *_ = kill_command(0, given.command, given.options, whole, draw)
            result, kills, sizes = kill_command(given.kills, given.command, given.options, killed, draw)
        else:
            expected = repr(fit(whole / "snapshots"))
            result, kills, sizes = kill_module(given.kills, killed, draw)
    print(f"untouched  {expected}\nkilled     {result}")
    print(f"{kills} kills, attempts by number of processes: { {size: sizes.count(size) for size in SIZES} }")
    print("equal" if result == expected else "DIFFERENT")
    raise SystemExit(result != expected)


if __name__ == "__main__":
    main()
