"""The learning-rate finder: the loss while the rate grows from too small to too large, and its plot."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regraft.disk.atomic import write_text
from regraft.errors import TrainingError
from regraft.training.batches.epoch_iterator import EpochIterator
from regraft.training.fit_loop import one_training, prepare_modules
from regraft.training.modes import modes_kept

if TYPE_CHECKING:
    from regraft.training.trainer import Trainer


WIDTH, HEIGHT = 640, 400  # of the plot, in pixels
LEFT, RIGHT, TOP, BOTTOM = 60, 620, 20, 355  # of its axes


SMOOTHING = 0.9  # share of the old value in the moving average of the loss
TOO_HIGH = 4.0  # the search ends if the loss exceeds its minimum by this factor


@dataclass(frozen=True)
class LearningRateCurve:
    """The loss at each learning rate that was tried.

    Example:
        >>> curve = new_model().find_lr(x, y)
        >>> curve.suggestion < curve.at_minimum
        True
        >>> curve.plot('curve.svg')

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

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write the picture of the curve to ``path``, an ``.svg`` file.

        Raises:
            TrainingError: another suffix.
        """
        if not os.fspath(path).endswith(".svg"):
            raise TrainingError(f"{os.fspath(path)}: the plot is an SVG picture; expected a name that ends with .svg")
        write_text(os.fspath(path), _curve_as_svg(self.rates, self.losses, self.suggestion))


def find_learning_rate(
    trainer: Trainer, feed: EpochIterator, start: float, end: float, steps: int
) -> LearningRateCurve:
    """Train for some steps while the rate grows from ``start`` to ``end``, then restore the previous state.

    The range test of Smith, *Cyclical Learning Rates* (https://arxiv.org/abs/1506.01186), section 3.3. It ends early
    if the loss diverges.

    Args:
        trainer: what is trained; all its parameter groups keep their ratio.
        feed: the batches; they are repeated as often as needed.
        start: first rate of the leading parameter group.
        end: last rate.
        steps: number of rates, growing by equal factors.

    Raises:
        TrainingError: invalid rates or steps, or the loss is NaN from the first step on.
    """
    if not (0 < start < end and steps >= 2):
        raise TrainingError(
            f"find_lr: start is {start}, end {end}, steps {steps}; expected 0 < start < end and 2 steps or more"
        )
    with one_training(trainer), modes_kept(trainer.module):
        rates, losses = _tried(trainer, feed, [start * (end / start) ** (i / (steps - 1)) for i in range(steps)])
    if len(rates) < 2:
        raise TrainingError(
            f"find_lr: the loss is NaN or diverges at the first learning rates; use a smaller start than {start}"
        )
    return LearningRateCurve(tuple(rates), tuple(losses))


def _tried(trainer: Trainer, feed: EpochIterator, tried: list[float]) -> tuple[list[float], list[float]]:
    """Train a step at each rate; return the rates and smoothed losses up to where the loss diverges."""
    trainer.train_modes.train()
    prepare_modules(trainer)
    trainer.trainables.require()
    step = trainer.train_step(None, None)
    optimizer = trainer.optimizer
    assert optimizer is not None  # train_step has checked it
    state = copy.deepcopy(trainer.state_dict())
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    try:
        for i, batch in enumerate(_endless(feed, len(tried))):
            optimizer.learning_rate = tried[i]
            trainer.meter.reset()
            step(batch, i, trainer.meter)
            average = SMOOTHING * average + (1 - SMOOTHING) * float(trainer.meter.logs()["loss"])
            loss = average / (1 - SMOOTHING ** (i + 1))
            if not math.isfinite(loss) or (losses and loss > TOO_HIGH * min(losses)):
                break
            rates.append(tried[i])
            losses.append(loss)
    finally:
        trainer.load_state_dict(state | {"stopped": None})
        trainer.meter.reset()
    return rates, losses


def _endless(feed: EpochIterator, steps: int) -> Any:
    done = epoch = 0
    while done < steps:
        for _, batch in feed.epoch(epoch):
            if done == steps:
                return
            yield batch
            done += 1
        epoch += 1


def _curve_as_svg(rates: Sequence[float], losses: Sequence[float], marked: float) -> str:
    """Return an SVG document with the losses over the logarithm of the rates; one rate is marked.

    Losses far above the first one, where training explodes, are cut off at the top.
    """
    low = min(losses)
    high = min(max(losses), losses[0] + 1.5 * (losses[0] - low)) if losses[0] > low else max(losses)
    first, last = math.log10(rates[0]), math.log10(rates[-1])

    def x_of(rate: float) -> float:
        return round(LEFT + (math.log10(rate) - first) / max(last - first, 1e-9) * (RIGHT - LEFT), 1)

    def y_of(loss: float) -> float:
        return round(TOP + (high - min(loss, high)) / max(high - low, 1e-9) * (BOTTOM - TOP), 1)

    def text(x: float, y: float, content: str, anchor: str = "middle") -> str:
        return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{content}</text>'

    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for power in range(math.ceil(first), math.floor(last) + 1):
        x = x_of(10.0**power)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{BOTTOM}" stroke="#ddd"/>')
        parts.append(text(x, BOTTOM + 16, f"1e{power}"))
    parts += [text(LEFT - 6, y_of(loss) + 4, f"{loss:.3g}", "end") for loss in (low, (low + high) / 2, high)]
    points = " ".join(f"{x_of(rate)},{y_of(loss)}" for rate, loss in zip(rates, losses, strict=True))
    parts.append(f'<polyline points="{points}" fill="none" stroke="#1f6feb" stroke-width="2"/>')
    x, y = x_of(marked), y_of(losses[list(rates).index(marked)])
    parts.append(f'<circle cx="{x}" cy="{y}" r="5" fill="#d1242f"/>')
    parts.append(text(x + 8, y - 8, f"{marked:.2g}", "start"))
    parts.append(text((LEFT + RIGHT) / 2, HEIGHT - 8, "learning rate"))
    parts.append(f'<g transform="rotate(-90 14 {HEIGHT / 2})">{text(14, HEIGHT / 2, "loss")}</g>')
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'{start} font-family="sans-serif" font-size="12">{"".join(parts)}</svg>'
