"""The rule that keeps a file of lower precision, on networks with a known loss: `python benchmarks/keep_rule.py`.

`regraft export --int8` keeps a file if the 95 % interval of the change of accuracy excludes a loss of more than half a
point. Here the change is known: margins and their movements are drawn from populations, whose loss is set to 0, 0.5, 1
or 2 points. Each row is the share of trials in which a rule keeps the file. Where the true loss is more than half a
point, this share should be 2.5 % at most.

Populations (accuracy about 94.5 % before the change):

- noise: every margin moves by noise;
- shift: every margin falls by about the same amount;
- shrink: large margins fall more than small ones, as under 8-bit activations;
- hard: only margins near 0 fall, so that movement and margin depend on each other;
- class: one class in ten, which has low margins, falls; the others rise a little;
- rare: a few photos break altogether, and the others do not move.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from regraft.export.compression import MAX_LOSS
from regraft.measure.changed_margins import accuracy_change
from regraft.measure.intervals import paired_proportions
from regraft.randomness import generator

Floats: TypeAlias = NDArray[np.float64]
Population: TypeAlias = Callable[[np.random.Generator, int, float], tuple[Floats, Floats]]
"""Returns margins and movements of some photos, for a strength of the damage."""

MANY = 400_000


def usual(draw: np.random.Generator, n: int) -> Floats:
    """Return margins of photos."""
    return draw.normal(4, 2.5, n)


def noise(draw: np.random.Generator, n: int, strength: float) -> tuple[Floats, Floats]:
    """Return photos whose margins move by noise."""
    return usual(draw, n), draw.normal(0, strength, n)


def shift(draw: np.random.Generator, n: int, strength: float) -> tuple[Floats, Floats]:
    """Return photos whose margins all fall."""
    return usual(draw, n), draw.normal(-strength, 0.3, n)


def shrink(draw: np.random.Generator, n: int, strength: float) -> tuple[Floats, Floats]:
    """Return photos whose large margins fall more."""
    margins = usual(draw, n)
    return margins, -0.15 * margins + draw.normal(-strength, 0.2, n)


def hard(draw: np.random.Generator, n: int, strength: float) -> tuple[Floats, Floats]:
    """Return photos of which only those near another class move."""
    margins = usual(draw, n)
    return margins, np.where(np.abs(margins) < 2, draw.normal(-strength, 0.2, n), 0.0)


def one_class(draw: np.random.Generator, n: int, strength: float) -> tuple[Floats, Floats]:
    """Return photos of which one class is hard, and falls."""
    is_hard = draw.random(n) < 0.1
    margins = np.where(is_hard, draw.normal(1.5, 2, n), draw.normal(4.3, 2.3, n))
    return margins, draw.normal(0.03, 0.2, n) - is_hard * strength


def rare(draw: np.random.Generator, n: int, strength: float) -> tuple[Floats, Floats]:
    """Return photos of which a share breaks."""
    return usual(draw, n), np.where(draw.random(n) < strength, -20.0, 0.0)


POPULATIONS: dict[str, tuple[Population, float]] = {
    "noise": (noise, 4.0),
    "shift": (shift, 2.0),
    "shrink": (shrink, 2.0),
    "hard": (hard, 2.0),
    "class": (one_class, 6.0),
    "rare": (rare, 0.1),
}
"""Each population, and a strength of the damage that costs more than two points."""


def loss(margins: Floats, moves: Floats) -> float:
    """Return the loss of accuracy."""
    return float((margins > 0).mean() - (margins + moves > 0).mean())


def strength_of(population: Population, most: float, wanted: float) -> float:
    """Return the strength of the damage that costs ``wanted``, by bisection."""
    low, high = 0.0, most
    for _ in range(20):
        middle = (low + high) / 2
        if loss(*population(generator("keep rule", 0), MANY, middle)) < wanted:
            low = middle
        else:
            high = middle
    return low


def counted(margins: Floats, moves: Floats, key: int) -> float:
    """Return the lower limit of the change by counting photos."""
    before, after = margins > 0, margins + moves > 0
    cells = (before & after, after & ~before, before & ~after, ~before & ~after)
    return paired_proportions(*(int(cell.sum()) for cell in cells))[0]


def by_margins(margins: Floats, moves: Floats, key: int) -> float:
    """Return the lower limit of the change by the rule of `regraft export`."""
    interval = accuracy_change(margins, moves, key).interval
    return -1.0 if interval is None else interval[0]


RULES = {"margins": by_margins, "counts": counted}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--photos", type=int, nargs="+", default=[150, 500])
    given = parser.parse_args()
    print("| population | photos | rule | " + " | ".join(f"loss {v}" for v in (0, 0.5, 1, 2)) + " |")
    print("|---|---|---|---|---|---|---|")
    for name, (population, most) in POPULATIONS.items():
        strengths = [strength_of(population, most, wanted) for wanted in (0, 0.005, 0.01, 0.02)]
        for photos in given.photos:
            kept = {rule: np.zeros(len(strengths)) for rule in RULES}
            for column, strength in enumerate(strengths):
                for trial in range(given.trials):
                    drawn = population(generator("keep rule", 1, name, photos, column, trial), photos, strength)
                    for rule, lower in RULES.items():
                        kept[rule][column] += lower(*drawn, trial) >= -MAX_LOSS
            for rule, counts in kept.items():
                cells = " | ".join(f"{100 * count / given.trials:.0f} %" for count in counts)
                print(f"| {name} | {photos} | {rule} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
