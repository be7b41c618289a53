"""The plan of a fine-tuning: blocks to train, epochs, learning rate, batch size, views; with the defaults of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from regraft.context.config import TrainConfig
from regraft.models.backbone import Backbone
from regraft.recipes.steps.after_training import INTERPOLATION_STEPS, INTERPOLATION_STEPS_UPPER

EPOCHS = 4

UPPER_SHARE = 0.5
"""Share of the blocks that `auto` trains first, from the cut point: `docs/recipes.md` compares other shares."""

FEW_BLOCKS = 2
"""Upper blocks that `auto` trains if the budget does not allow that share."""

UPPER_EPOCHS, UPPER_STEPS = (8, 24), 400
"""Bounds of the epochs, and steps to reach within them: few photos need more epochs (`docs/recipes.md`)."""

LEARNING_RATE_PER_STEP = 2e-6
LEARNING_RATES = 3e-5, 1e-3
"""Default peak learning rate: proportional to the number of steps, clipped to these bounds. The first steps disturb the
pretrained weights, and only a training of some hundred steps repairs more than that. See `docs/recipes.md`."""

CONTINUED_SHARE = 0.3
"""Share of that learning rate for a fine-tuning that starts from the end of another."""

BATCH_SIZE = 32
SMALL_BATCH = 16
"""Batch size if all blocks are trained. It gives twice the steps in the same epochs, which are few."""

VIEWS = 8
"""Views of each photo whose activations are cached: `docs/recipes.md` compares other numbers."""


@dataclass(frozen=True)
class Plan:
    """The plan of a fine-tuning.

    Attributes:
        unfreeze: ``"all"``, a number of blocks from the top, or names of blocks.
        epochs: passes over the training photos.
        lr: peak learning rate of the head and the top block; None for a rate by the number of steps.
        batch_size: photos in a step.
        views: views of each photo whose activations are cached where lower blocks are frozen; 0: new ones each epoch.
        continues: whether it starts from the end of another fine-tuning, which a full learning rate would undo.
    """

    unfreeze: Literal["all"] | int | Sequence[str]
    epochs: int
    lr: float | None
    batch_size: int
    views: int = VIEWS
    continues: bool = False

    def learning_rate(self, photos: int) -> float:
        """Return the peak learning rate for training on ``photos``."""
        if self.lr is not None:
            return self.lr
        steps = self.epochs * math.ceil(photos / max(self.batch_size, BATCH_SIZE))
        low, high = LEARNING_RATES
        return (CONTINUED_SHARE if self.continues else 1.0) * min(high, max(low, LEARNING_RATE_PER_STEP * steps))

    @property
    def cached_views(self) -> int:
        """Views to cache: at most one per epoch."""
        return min(self.views, self.epochs)

    @property
    def interpolation_steps(self) -> tuple[float, ...]:
        """Shares of the way from start to end to try, the first preferred among equally good ones."""
        return INTERPOLATION_STEPS if self.unfreeze == "all" else INTERPOLATION_STEPS_UPPER

    @property
    def stage(self) -> str:
        """The name of its snapshots, epochs and choices."""
        return "fine-tune" if self.unfreeze == "all" else f"fine-tune {self.title}"

    @property
    def title(self) -> str:
        """The trained blocks, in words."""
        if isinstance(self.unfreeze, int):
            return f"upper {self.unfreeze} block{'s' if self.unfreeze != 1 else ''}"
        return "all blocks" if self.unfreeze == "all" else ", ".join(self.unfreeze)


def plan_from_options(config: TrainConfig) -> Plan:
    """Return the plan that the options describe, with the defaults of this file."""
    return Plan(
        unfreeze="all" if config.unfreeze is None else config.unfreeze,
        epochs=config.epochs or EPOCHS,
        lr=config.lr,
        batch_size=config.batch_size or (SMALL_BATCH if config.unfreeze in (None, "all") else BATCH_SIZE),
        views=VIEWS if config.views is None else config.views,
    )


def upper_plan(config: TrainConfig, photos: int, blocks: int) -> Plan:
    """Return the plan that trains the upper ``blocks`` on ``photos``, from the cut point."""
    plan = replace(plan_from_options(config), batch_size=config.batch_size or BATCH_SIZE)
    low, high = UPPER_EPOCHS
    epochs = min(high, max(low, math.ceil(UPPER_STEPS * plan.batch_size / photos)))
    return replace(plan, unfreeze=blocks, epochs=config.epochs or epochs)


def upper_half(backbone: Backbone) -> int:
    """Return the number of blocks in the upper half of a network."""
    return max(1, round(UPPER_SHARE * len(backbone.blocks)))
