"""Metrics of binary predictions by Keras's formulas: counts, precision, recall, area under the curve, F1."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from regraft.errors import TrainingError
from regraft.training.losses.reading import Reading, classes_last, inside_unit, one_hot, probabilities, same_rank
from regraft.training.metrics.accuracies import decided
from regraft.training.metrics.metric import SumMetric, Sums, ratio, summed


def positive_class(name: str, output: Tensor, target: Tensor, reading: Reading) -> tuple[Tensor, Tensor, Reading]:
    """Return outputs and targets of binary classification.

    Of two class numbers, 1 is the positive class. Class numbers of more classes are refused, as in Keras
    and scikit-learn, because there are several ways to average over classes. One-hot targets are counted
    separately for each label, as in Keras.

    Raises:
        TrainingError: class numbers of more than two classes.
    """
    if output.ndim < 2 or (output.shape[-1] == 1 and output.ndim == 2):
        return output, target, reading
    scores, wanted = classes_last(output, target, reading.axis)
    if wanted.ndim == scores.ndim or scores.shape[-1] == 1 or reading.binary:
        return output, target, reading
    if scores.shape[-1] > 2:
        raise TrainingError(
            f"{name} is a metric of binary predictions; found class numbers and {scores.shape[-1]} outputs\n  pass "
            f"torchmetrics.classification.Multiclass...(num_classes={scores.shape[-1]}, average='macro'), or one-hot "
            "targets to count each label separately, as Keras does"
        )
    if reading.logits:
        return scores[..., 1] - scores[..., 0], wanted, Reading(logits=True, binary=True)
    return scores[..., 1], wanted, Reading(binary=True)


class Confusion(SumMetric):
    """The base class of metrics from the counts of true and false positives and negatives at probability 0.5."""

    def sums(self, output: Tensor, target: Tensor, weight: Tensor | None, reading: Reading) -> Sums:
        """Return true positives, false positives, true negatives, false negatives."""
        yes, wanted = decided(*positive_class(self.name, output, target, reading))
        pairs = ((yes & wanted), (yes & ~wanted), (~yes & ~wanted), (~yes & wanted))
        return tuple(summed(pair, weight) for pair in pairs)


class TruePositives(Confusion):
    """The number of correct positive predictions."""

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the count."""
        return sums[0]


class FalsePositives(Confusion):
    """The number of wrong positive predictions."""

    better = "min"

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the count."""
        return sums[1]


class TrueNegatives(Confusion):
    """The number of correct negative predictions."""

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the count."""
        return sums[2]


class FalseNegatives(Confusion):
    """The number of wrong negative predictions."""

    better = "min"

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the count."""
        return sums[3]


class Precision(Confusion):
    """The share of positive predictions that are correct."""

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the share, or 0 without positive predictions."""
        return ratio(sums[0], sums[0] + sums[1])


class Recall(Confusion):
    """The share of positive targets that are predicted positive."""

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the share, or 0 without positive targets."""
        return ratio(sums[0], sums[0] + sums[3])


class BinaryIoU(Confusion):
    """The mean of intersection over union of the positive and the negative class."""

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the mean."""
        tp, fp, tn, fn = sums
        return (ratio(tp, tp + fp + fn) + ratio(tn, tn + fp + fn)) / 2


class AUC(SumMetric):
    """The area under the ROC curve, from 200 thresholds and trapezoids as Keras computes it."""

    thresholds = 200

    def __init__(self, name: str, *, weighted: bool = False) -> None:
        super().__init__(name, weighted=weighted)
        self._checked = False

    def sums(self, output: Tensor, target: Tensor, weight: Tensor | None, reading: Reading) -> Sums:
        """Return the numbers of positive and of negative targets with a probability between two thresholds."""
        output, target, reading = positive_class(self.name, output, target, reading)
        if reading.binary or output.ndim == 1 or output.shape[-1] == 1:
            output, target = same_rank(output, target)
        else:
            output, target = classes_last(output, target, reading.axis)
        scores, wanted = probabilities(output, reading), target > 0.5
        self._check(scores)
        bucket = (scores.float().clamp(0, 1) * (self.thresholds - 1)).ceil().long().sub(1).clamp(min=0).flatten()
        weights = torch.ones_like(scores, dtype=torch.float32)
        if weight is not None:
            weights = weights * weight.float().reshape(weight.shape + (1,) * (weights.ndim - weight.ndim))
        empty = torch.zeros(self.thresholds, device=output.device)
        positive, negative = (weights * wanted).flatten(), (weights * ~wanted).flatten()
        return empty.index_add(0, bucket, positive), empty.index_add(0, bucket, negative)

    def _check(self, scores: Tensor) -> None:
        """Warn if the scores of the first batch are not probabilities; this synchronizes with the device once."""
        if not self._checked and not inside_unit(scores):
            warnings.warn(
                f"{self.name} takes probabilities; values outside 0 to 1 count as 0 or 1, as in Keras. For a module "
                "without a sigmoid use a loss of logits, such as 'bce_with_logits'",
                RuntimeWarning,
                stacklevel=2,
            )
        self._checked = True

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the area."""
        tp, fp = (one.flip(0).cumsum(0).flip(0) for one in sums)
        recall, fallout = ratio(tp, sums[0].sum()), ratio(fp, sums[1].sum())
        return ((fallout[:-1] - fallout[1:]) * (recall[:-1] + recall[1:]) / 2).sum()


class F1Score(SumMetric):
    """F1 of each class: an array (classes,), or a number for a single binary output.

    The prediction is the class with the largest output; a single output is positive above probability 0.5.
    """

    def sums(self, output: Tensor, target: Tensor, weight: Tensor | None, reading: Reading) -> Sums:
        """Return true positives, false positives and false negatives by class."""
        if output.ndim == 1 or (output.ndim == 2 and output.shape[-1] == 1):
            yes, wanted = decided(output, target, reading)
            yes, wanted, width = yes.reshape(-1, 1), wanted.reshape(-1, 1).float(), 1
        else:
            scores, wanted = classes_last(output, target, reading.axis)
            width = scores.shape[-1]
            wanted = (one_hot(wanted, width) if wanted.ndim == scores.ndim - 1 else wanted).reshape(-1, width).float()
            yes = (scores == scores.amax(-1, keepdim=True)).reshape(-1, width)
        if weight is not None:
            weight = weight.reshape(-1, 1)  # of samples, or of places
            weight = weight.expand(-1, len(yes) // len(weight)).reshape(-1)
        answer = yes.float()
        pairs = (answer * wanted, answer * (1 - wanted), (1 - answer) * wanted)
        return tuple(summed(pair, weight, 0) for pair in pairs)

    def figure(self, *sums: Tensor) -> Tensor:
        """Return F1, with 0 for a class without targets and predictions."""
        tp, fp, fn = sums
        f1 = ratio(2 * tp, 2 * tp + fp + fn)
        return f1[0] if len(f1) == 1 else f1
