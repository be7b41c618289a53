"""Training of any torch module: the `Trainer` and its parts, without images, backbones or run folders."""

from regraft.training.batches.batches import BatchSource
from regraft.training.losses.losses import Loss
from regraft.training.lr_finder import LearningRateCurve
from regraft.training.metrics.metric import Metric
from regraft.training.optimizers.ema import EMA
from regraft.training.optimizers.optimizer_view import OptimizerView
from regraft.training.optimizers.optimizers import discriminative_groups
from regraft.training.saving.snapshots import Snapshots
from regraft.training.trainer import Trainer

__all__ = [
    "EMA",
    "BatchSource",
    "LearningRateCurve",
    "Loss",
    "Metric",
    "OptimizerView",
    "Snapshots",
    "Trainer",
    "discriminative_groups",
]
