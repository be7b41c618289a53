"""Which learning rate suits: the loss while the rate grows from too small to too large."""

from __future__ import annotations

import copy
import math
import os
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from regraft.errors import TrainingError
from regraft.run.atomic import write_text
from regraft.training.feed import Feed
from regraft.training.setup import Setup

SMOOTHING = 0.9  # share of the old value in the moving average of the loss
TOO_HIGH = 4.0  # the search ends where the loss is so many times its lowest value


@dataclass(frozen=True)
class LearningRateCurve:
    """The loss at each learning rate that was tried.

    Attributes:
        rates: the learning rates, growing.
        losses: the smoothed loss after a step at each.
        suggestion: the rate at which the loss falls fastest, per factor of the rate.
        at_minimum: the rate at which the loss was lowest; training at it is at the edge.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def at_minimum(self) -> float:
        """The rate at which the loss was lowest."""
        return self.rates[min(range(len(self.losses)), key=self.losses.__getitem__)]

    @property
    def suggestion(self) -> float:
        """The rate at which the loss falls fastest before its lowest value."""
        end = max(2, self.rates.index(self.at_minimum) + 1)
        slopes = [self.losses[min(i + 1, len(self.losses) - 1)] - self.losses[max(i - 1, 0)] for i in range(end)]
        return self.rates[min(range(end), key=slopes.__getitem__)]

    def svg(self, width: int = 640, height: int = 400) -> str:
        """Return the curve as a picture, an SVG document; the suggestion is marked."""
        left, right, top, bottom = 60, 20, 20, 45
        low, high = min(self.losses), min(max(self.losses), 2.5 * self.losses[0] - 1.5 * min(self.losses))
        first, last = math.log10(self.rates[0]), math.log10(self.rates[-1])

        def at(rate: float, loss: float) -> tuple[float, float]:
            x = left + (math.log10(rate) - first) / max(last - first, 1e-9) * (width - left - right)
            y = top + (high - min(loss, high)) / max(high - low, 1e-9) * (height - top - bottom)
            return round(x, 1), round(y, 1)

        points = " ".join("{},{}".format(*at(r, c)) for r, c in zip(self.rates, self.losses, strict=True))
        x, y = at(self.suggestion, self.losses[self.rates.index(self.suggestion)])
        base = height - bottom
        ticks = "".join(
            f'<line x1="{at(10.0**k, low)[0]}" x2="{at(10.0**k, low)[0]}" y1="{top}" y2="{base}" stroke="#ddd"/>'
            f'<text x="{at(10.0**k, low)[0]}" y="{base + 16}" text-anchor="middle">1e{k}</text>'
            for k in range(math.ceil(first), math.floor(last) + 1)
        )
        levels = "".join(
            f'<text x="{left - 6}" y="{at(1.0 if first <= 0 <= last else self.rates[0], value)[1] + 4}" '
            f'text-anchor="end">{value:.3g}</text>'
            for value in (low, (low + high) / 2, high)
        )
        label = escape(f"suggestion {self.suggestion:.2g}")
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
            f'font-size="12"><rect width="{width}" height="{height}" fill="white"/>{ticks}{levels}'
            f'<polyline points="{points}" fill="none" stroke="#1f6feb" stroke-width="2"/>'
            f'<circle cx="{x}" cy="{y}" r="5" fill="#d1242f"/><text x="{x + 8}" y="{y - 8}">{label}</text>'
            f'<text x="{(left + width - right) / 2}" y="{height - 8}" text-anchor="middle">learning rate</text>'
            f'<text x="14" y="{height / 2}" transform="rotate(-90 14 {height / 2})" text-anchor="middle">loss</text></svg>'
        )

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write the picture of the curve to ``path``, an ``.svg`` file.

        Raises:
            TrainingError: another suffix.
        """
        if not os.fspath(path).endswith(".svg"):
            raise TrainingError(f"{os.fspath(path)}: the plot is an SVG picture; its name has to end with .svg")
        write_text(os.fspath(path), self.svg())


def find_learning_rate(trainer: Setup, feed: Feed, start: float, end: float, steps: int) -> LearningRateCurve:
    """Train for some steps while the rate grows from ``start`` to ``end``, then put everything back as it was.

    The range test of Smith, *Cyclical Learning Rates* (https://arxiv.org/abs/1506.01186), section 3.3. It ends early
    where the loss explodes.

    Args:
        trainer: what is trained; all its parameter groups keep their ratio.
        feed: the batches; as many passes over them are made as are needed.
        start: first rate of the leading parameter group.
        end: last rate.
        steps: number of rates, growing by equal factors.

    Raises:
        TrainingError: the rates or steps cannot be, or the loss is no number from the first step on.
    """
    if not (0 < start < end and steps >= 2):
        raise TrainingError(
            f"find_lr: start is {start}, end {end}, steps {steps}; expected 0 < start < end, 2 steps or more"
        )
    step = trainer.train_step(None, None)
    optimizer = trainer.optimizer
    assert optimizer is not None  # train_step has checked it
    kept = copy.deepcopy(trainer.state_dict())
    modes = [(part, part.training) for part in trainer.module.modules()]
    trainer.module.train()
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    try:
        for i, batch in enumerate(_endless(feed, steps)):
            rate = start * (end / start) ** (i / (steps - 1))
            optimizer.learning_rate = rate
            trainer.meter.reset()
            step(batch, i, trainer.meter)
            average = SMOOTHING * average + (1 - SMOOTHING) * float(trainer.meter.logs()["loss"])
            loss = average / (1 - SMOOTHING ** (i + 1))
            if not math.isfinite(loss) or (losses and loss > TOO_HIGH * min(losses)):
                break
            rates.append(rate)
            losses.append(loss)
    finally:
        trainer.load_state_dict(kept)
        trainer.meter.reset()
        for part, mode in modes:
            part.training = mode
    if len(rates) < 2:
        raise TrainingError(
            f"find_lr: the loss exploded at the first rates already, from {start}; give a smaller start"
        )
    return LearningRateCurve(tuple(rates), tuple(losses))


def _endless(feed: Feed, steps: int) -> Any:
    done = epoch = 0
    while done < steps:
        for _, batch in feed.epoch(epoch):
            if done == steps:
                return
            yield batch
            done += 1
        epoch += 1
