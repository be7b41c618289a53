"""The price of a training step whose bits do not depend on the number of processes, next to a step of torch's DDP.

    python benchmarks/distributed_step.py [--backbone tf_efficientnet_lite0] [--size 96] [--rounds 12]

Two processes of one thread each take turns: a step with DDP, one with `fast_reduce`, one each with the fixed tree over
2, 4 and 8 shards. Each has its own copy of the network with frozen normalization. Printed are medians over the rounds,
in CPU and in wall seconds of process 0, and their ratios to DDP.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from regraft.distributed.world import together
from regraft.models.timm_import import import_timm
from regraft.training import Trainer

BATCH, CLASSES = 32, 10


def network(name: str) -> nn.Module:
    """Return a network with random weights; its normalization layers are frozen, as in regraft's fine-tuning."""
    torch.manual_seed(0)
    module: nn.Module = import_timm().create_model(name, pretrained=False, num_classes=CLASSES)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval().requires_grad_(False)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def ddp_step(name: str, x: torch.Tensor, y: torch.Tensor, rank: int) -> Callable[[], None]:
    """Return a step of a plain loop with ``DistributedDataParallel``, on half of the batch."""
    module = nn.parallel.DistributedDataParallel(network(name))
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-4)
    half = slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)

    def step() -> None:
        loss = nn.functional.cross_entropy(module(x[half]), y[half])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def regraft_step(name: str, x: torch.Tensor, y: torch.Tensor, **options: Any) -> Callable[[], None]:
    """Return a step of `Trainer` on the whole batch."""
    module = network(name)
    trainable = [p for p in module.parameters() if p.requires_grad]
    trainer = Trainer(module, torch.optim.AdamW(trainable, lr=1e-4), "cross_entropy", ["accuracy"], **options)
    inner = trainer.train_step(None, None)

    def step() -> None:
        with together():
            inner((x, y), 0, trainer.meter)

    return step


def measure(given: argparse.Namespace, rank: int) -> None:
    """Run the rounds, and print the figures in process 0."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    x = torch.randn(BATCH, 3, given.size, given.size).contiguous(memory_format=torch.channels_last)
    y = torch.arange(BATCH) % CLASSES
    with together():
        pass  # joins the group that DDP uses
    steps = {
        "DDP": ddp_step(given.backbone, x, y, rank),
        "fast_reduce": regraft_step(given.backbone, x, y, shards=8, fast_reduce=True),
        **{f"tree of {n} shards": regraft_step(given.backbone, x, y, shards=n) for n in (2, 4, 8)},
    }
    seconds: dict[str, list[tuple[float, float]]] = {label: [] for label in steps}
    for number in range(given.rounds + 1):
        for label, step in steps.items():
            cpu, wall = time.process_time(), time.perf_counter()
            step()
            if number:
                seconds[label].append((time.process_time() - cpu, time.perf_counter() - wall))
    if rank == 0:
        base = [statistics.median(values) for values in zip(*seconds["DDP"], strict=True)]
        for label, pairs in seconds.items():
            cpu, wall = (statistics.median(values) for values in zip(*pairs, strict=True))
            print(
                f"{label:18} cpu {cpu:.3f} s ({cpu / base[0]:.2f} of DDP)   wall {wall:.3f} s ({wall / base[1]:.2f})"
                f"   n={len(pairs)}"
            )


def main() -> None:
    """Fork the second process, and measure in both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=12)
    given = parser.parse_args()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    os.environ.update(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    child = os.fork()
    os.environ["RANK"] = "1" if child == 0 else "0"
    measure(given, int(os.environ["RANK"]))
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
