"""What `Trainer.fit` costs above a hand-written PyTorch loop that computes the same loss and accuracy.

    python benchmarks/loop_overhead.py [--pairs 20]

Pairs of the two run interleaved, in one process and on one thread, timed by the processor time that it takes, so that
what else the machine does falls on both alike. A pair is the sum of short turns that alternate, because the speed of
a shared processor drifts by more within a second than what is measured. Each pair also checks that both ended with
the same weights, to the bit. Printed are the medians over the pairs with 95 % intervals (by bootstrap), without and
with callbacks: microseconds a step with a network of almost no work, which is the exact figure; and the ratio of
times at steps of about 5 ms, which a busy machine blurs by more than what is measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from regraft.callbacks import CSVLogger, EarlyStopping, LambdaCallback, ReduceLROnPlateau, TerminateOnNaN
from regraft.training import Trainer

BATCHES = Sequence[tuple[torch.Tensor, torch.Tensor]]


def network(width: int, depth: int) -> nn.Module:
    """Return a network from 16 inputs over ``depth`` layers to 4 classes, always with the same weights."""
    torch.manual_seed(0)
    hidden = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Linear(16, width), nn.ReLU(), *hidden, nn.Linear(width, 4))


def batches(count: int, size: int) -> BATCHES:
    """Return ``count`` batches of inputs (size, 16) and classes (size,)."""
    draw = torch.Generator().manual_seed(1)
    return [(torch.randn(size, 16, generator=draw), torch.randint(0, 4, (size,), generator=draw)) for _ in range(count)]


def by_hand(model: nn.Module, data: BATCHES, epochs: int) -> float:
    """Train with a loop as people write it; return the seconds it took."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    begun = time.process_time()
    for _ in range(epochs):
        model.train()
        total, hits, seen = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.int64), 0
        for x, y in data:
            optimizer.zero_grad()
            output = model(x)
            loss = criterion(output, y)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                total = total + loss.detach() * len(x)
                hits = hits + (output.argmax(1) == y).sum()
            seen += len(x)
        _ = {"loss": total.item() / seen, "accuracy": hits.item() / seen}
    return time.process_time() - begun


def by_trainer(model: nn.Module, data: BATCHES, epochs: int, callbacks: Callable[[], list[object]]) -> float:
    """Train with `Trainer.fit`; return the seconds it took."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), ["accuracy"])
    begun = time.process_time()
    trainer.fit(data, epochs=epochs, verbose=0, callbacks=callbacks())
    return time.process_time() - begun


def pairs(
    count: int, make: Callable[[], nn.Module], data: BATCHES, turns: int, callbacks: Callable[[], list[object]]
) -> np.ndarray:
    """Return the seconds of ``count`` interleaved pairs of ``turns``, (count, 2): by hand, by `Trainer`."""
    times = []
    for i in range(count * turns + turns):
        models = make(), make()
        if i % 2:
            first = by_hand(models[0], data, 1)
            second = by_trainer(models[1], data, 1, callbacks)
        else:
            second = by_trainer(models[1], data, 1, callbacks)
            first = by_hand(models[0], data, 1)
        same = zip(models[0].parameters(), models[1].parameters(), strict=True)
        if not all(torch.equal(a, b) for a, b in same):
            raise SystemExit("the two loops ended with different weights")
        times.append((first, second))
    return np.array(times).reshape(count + 1, turns, 2).sum(1)[1:]  # the first pair warms up


def interval(values: np.ndarray) -> str:
    """Return the 95 % interval of the median of ``values``, by bootstrap."""
    draw = np.random.default_rng(0)
    medians = np.median(draw.choice(values, (2000, len(values))), axis=1)
    return f"95 %: {np.percentile(medians, 2.5):.4g} to {np.percentile(medians, 97.5):.4g}"


def some_callbacks(folder: str) -> list[object]:
    """Return callbacks that people use, among them two that run at every batch."""
    return [
        EarlyStopping("loss", patience=9),
        ReduceLROnPlateau("loss", patience=9),
        CSVLogger(Path(folder, "log.csv")),
        TerminateOnNaN(),
        LambdaCallback(on_train_batch_end=lambda _, logs: logs),
    ]


def main() -> None:
    """Run the pairs and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    count = parser.parse_args().pairs
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as folder:
        cases = (("no callbacks", list), ("five callbacks", lambda: some_callbacks(folder)))
        data = batches(500, 2)
        for name, callbacks in cases:
            times = pairs(count, lambda: network(4, 0), data, 1, callbacks)
            extra = (times[:, 1] - times[:, 0]) / len(data) * 1e6
            share = np.median(extra) / 5000
            print(f"{name:<15} {np.median(extra):6.1f} µs a step more  ({interval(extra)}), {share:.2%} of 5 ms")
        data = batches(60, 32)
        for name, callbacks in cases:
            times = pairs(count, lambda: network(640, 4), data, 4, callbacks)
            ratio, step = times[:, 1] / times[:, 0], np.median(times[:, 0]) / 240 * 1e3
            print(f"{name:<15} {np.median(ratio):6.4f} × the time  ({interval(ratio)}), a step by hand {step:.1f} ms")


if __name__ == "__main__":
    main()
