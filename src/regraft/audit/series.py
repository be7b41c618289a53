"""Series: photos of the same subject, such as one person, plant or afternoon, that random folds do not keep together.

The accuracy in random folds is compared with that in blocks of photos that were probably taken together, photo by
photo, with the same probe and equally many training photos. If it falls clearly, the accuracy on new subjects is lower
than the reported one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.audit.look_groups import MAX_GROUP_SHARE, MIN_CLOSE_SHARE, close_share, largest_share, look_groups
from regraft.audit.new_subjects import LOOK_ERROR, ORDER_ERROR, NewSubjects, loss_on_new_subjects
from regraft.audit.photo_order import LOOK_RULE, photo_orders
from regraft.data.manifest import Entry
from regraft.measure.intervals import figure
from regraft.probe.block_validation import BLOCKS, BlockTest, consecutive_blocks
from regraft.probe.folds import make_folds
from regraft.probe.model_selection import grouped_standard_error

MIN_PHOTOS, MIN_OF_CLASS = 60, 10
"""Minimum photos, and minimum photos of each class, for the test."""

MAX_PHOTOS = 2000
"""Photos of the test; of more, runs of consecutive photos are taken."""

MIN_LOSS, MIN_Z = 0.02, 1.9
"""Minimum loss of accuracy in blocks, and minimum ratio to its standard error without series (one-sided 3 %)."""

_RUNS = 20
_REPEATS = ((600, 4), (MAX_PHOTOS, 2))


@dataclass(frozen=True)
class SeriesEffect:
    """The loss of accuracy in blocks of photos that were probably taken together.

    Attributes:
        rule: the rule of ``--group-by`` for these blocks.
        n: number of photos.
        random: accuracy in random folds.
        blocks: accuracy in blocks.
        z: the loss divided by its standard error if there are no series.
        standard_error: standard error of the loss over blocks.
        new_subjects: the loss on new subjects; None if the effect is not clear.
    """

    rule: str
    n: int
    random: float
    blocks: float
    z: float
    standard_error: float
    new_subjects: NewSubjects | None = None

    @property
    def loss(self) -> float:
        """Accuracy in random folds minus accuracy in blocks."""
        return self.random - self.blocks

    @property
    def is_clear(self) -> bool:
        """True if the loss is neither small nor an accident."""
        return self.loss >= MIN_LOSS and self.z >= MIN_Z

    def as_dict(self) -> dict[str, Any]:
        """Return the effect as JSON values."""
        reach = 1.96 * self.standard_error
        interval = (self.loss - reach, self.loss + reach) if math.isfinite(reach) else None
        accuracies = {"random": self.random, "blocks": self.blocks}
        loss = figure(self.loss, self.n, interval)
        out = {"group_by": self.rule, "n": self.n, **accuracies, "loss": loss, "z": self.z, "clear": self.is_clear}
        new = self.new_subjects
        return out if new is None else {**out, "on_new_subjects": figure(new.loss, self.n, new.interval)}


@dataclass(frozen=True)
class SeriesTest:
    """Photos for the test.

    Attributes:
        entries: the photos.
        times: their capture times in seconds, NaN where unknown.
        features: their features, shape (n, d), float32.
        labels: class of each photo, shape (n,).
        units: id of each photo's unit, such as its group of duplicates; units are never divided.
        C: regularization of the probe.
        seed: seed of the random folds.
    """

    entries: Sequence[Entry]
    times: Sequence[float]
    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    units: Sequence[str]
    C: float
    seed: int = 0

    def effects(self) -> list[SeriesEffect]:
        """Return the effect of each order of the photos, and of their look if it shows series; [] with few photos."""
        if len(self.labels) < MIN_PHOTOS or np.bincount(self.labels)[np.unique(self.labels)].min() < MIN_OF_CLASS:
            return []
        small = self._of_runs()
        test = BlockTest(small.features, small.labels, np.unique(small.units, return_inverse=True)[1], small.C)
        blocks = dict(small._blocks())
        if not blocks:
            return []
        random = small._random_accuracy(test)
        return [_effect(rule, test, random, block) for rule, block in blocks.items()]

    def _of_runs(self) -> SeriesTest:
        """Return at most `MAX_PHOTOS` photos: runs of consecutive photos of each class, so that series stay whole."""
        n = len(self.labels)
        if n <= MAX_PHOTOS:
            return self
        orders = photo_orders(self.entries, self.times)
        order = orders[0].positions if orders else np.arange(n)
        rows = []
        for c in np.unique(self.labels):
            of_class = order[self.labels[order] == c]
            runs = np.array_split(of_class, min(_RUNS, max(1, len(of_class) // BLOCKS)))
            rows += [run[: max(1, math.floor(len(run) * MAX_PHOTOS / n))] for run in runs]
        return self._only(np.sort(np.concatenate(rows)))

    def _only(self, rows: NDArray[np.int64]) -> SeriesTest:
        entries, times, units = (
            [values[i] for i in rows.tolist()] for values in (self.entries, self.times, self.units)
        )
        return SeriesTest(entries, times, self.features[rows], self.labels[rows], units, self.C, self.seed)

    def _blocks(self) -> list[tuple[str, NDArray[np.int64]]]:
        """Return rules, and the block of each photo by each of them."""
        orders = photo_orders(self.entries, self.times)
        blocks = [(order.rule, consecutive_blocks(order.positions.tolist(), self.labels)) for order in orders]
        names = [entry.label for entry in self.entries]
        close = close_share(self.features, names) >= MIN_CLOSE_SHARE
        groups = look_groups(self.features, names) if close else []
        if close and largest_share(groups, names) <= MAX_GROUP_SHARE:
            keys = [entry.name for entry in self.entries]
            folds = make_folds(self.labels, keys, groups, count=BLOCKS, seed=self.seed)
            blocks.append((LOOK_RULE, folds.fold_of_row))
        return blocks

    def _random_accuracy(self, test: BlockTest) -> NDArray[np.float64]:
        """Return for each photo the share of random orders in which it is predicted right, shape (n,)."""
        n = len(self.labels)
        repeats = next(count for below, count in _REPEATS if n <= below)
        rng = np.random.default_rng(self.seed)
        orders = [rng.permutation(n).tolist() for _ in range(repeats)]
        right = [test.correct(consecutive_blocks(order, self.labels)) for order in orders]
        return np.asarray(np.mean(right, axis=0))


def clearest(effects: Sequence[SeriesEffect]) -> SeriesEffect | None:
    """Return the clear effect with the largest loss, by time or number before by look; None if none is clear."""
    clear = sorted(
        (effect for effect in effects if effect.is_clear), key=lambda one: (one.rule == LOOK_RULE, -one.loss)
    )
    return clear[0] if clear else None


def _effect(rule: str, test: BlockTest, random: NDArray[np.float64], block: NDArray[np.int64]) -> SeriesEffect:
    logits = test.held_out_logits(block)
    right = logits.argmax(axis=1) == test.y
    difference = random - right
    spread = math.sqrt(float((difference**2).sum()))
    error = grouped_standard_error(difference, np.ones(len(difference)), test.y * BLOCKS + block)
    z = float(difference.sum()) / spread if spread else 0.0
    effect = SeriesEffect(rule, len(right), float(random.mean()), float(right.mean()), z, error)
    if not effect.is_clear:
        return effect
    model_error = LOOK_ERROR if rule == LOOK_RULE else ORDER_ERROR
    return replace(effect, new_subjects=loss_on_new_subjects(effect.random, logits, test.y, block, model_error))
