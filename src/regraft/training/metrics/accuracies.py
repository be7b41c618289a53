"""Accuracies: the share of correct answers, for class numbers, one-hot targets and binary predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from regraft.errors import TrainingError
from regraft.training.losses.odd_outputs import warn_of_measured_targets
from regraft.training.losses.reading import Reading, classes_last, one_hot, probabilities, same_rank
from regraft.training.metrics.metric import Metric, Ratio, no_sample_values


def sparse_categorical_accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Return whether the largest of (..., classes) outputs is the class (...)."""
    return output.argmax(-1) == target


def categorical_accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Return whether the largest of (..., classes) outputs is the largest of the targets (..., classes)."""
    return output.argmax(-1) == target.argmax(-1)


def sparse_top_k_categorical_accuracy(output: Tensor, target: Tensor, k: int = 5) -> Tensor:
    """Return whether the class (...) is among the ``k`` largest of (..., classes) outputs."""
    best = output.topk(min(k, output.shape[-1]), -1).indices
    return (best == target.unsqueeze(-1)).any(-1)


def top_k_categorical_accuracy(output: Tensor, target: Tensor, k: int = 5) -> Tensor:
    """Return whether the largest target (..., classes) is among the ``k`` largest outputs."""
    return sparse_top_k_categorical_accuracy(output, target.argmax(-1), k)


def decided(output: Tensor, target: Tensor, reading: Reading) -> tuple[Tensor, Tensor]:
    """Return binary predictions and targets in one shape, as booleans.

    A prediction is True if the probability is above 0.5; for logits of a binary loss, if the logit is above 0.
    """
    if reading.logits and not reading.binary and output.ndim > 1 and output.shape[1] > 1:
        output, target = classes_last(output, target, reading.axis)
        yes = probabilities(output, reading) > 0.5
        target = target if target.ndim == yes.ndim else one_hot(target, yes.shape[-1])
    else:
        output, target = same_rank(output, target)
        yes = output > (0.0 if reading.logits else 0.5)
    if yes.shape != target.shape:
        raise TrainingError(
            f"binary predictions need a target each; found outputs of shape {tuple(output.shape)} and targets of shape "
            f"{tuple(target.shape)}\n  for class numbers use 'accuracy' or 'sparse_categorical_accuracy'"
        )
    return yes, target > 0.5


def binary_hits(output: Tensor, target: Tensor, reading: Reading) -> Tensor:
    """Return the share of correct binary predictions of each sample, (n,) or (n, ...) without the last dimension."""
    yes, target = decided(output, target, reading)
    hits = yes == target
    return hits.float().mean(-1) if hits.ndim > 1 else hits


class BinaryAccuracy(Metric):
    """``"binary_accuracy"``: the share of outputs on the target's side of 0.5, or of 0 if they are logits."""

    def __init__(self, name: str, *, weighted: bool = False) -> None:
        super().__init__(name, no_sample_values, "max", weighted=weighted)
        self._looked = False

    def update(
        self,
        output: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reading: Reading = Reading(),  # noqa: B008
    ) -> None:
        """Add a batch."""
        self.look(target)
        self.add(binary_hits(output, target, reading), len(output), weight)

    def look(self, target: Tensor) -> None:
        """Warn if the first targets are not those of two classes."""
        if not self._looked:
            self._looked = True
            warn_of_measured_targets(self.name, target)


class AutoAccuracy(Metric):
    """``"accuracy"``: binary, sparse or categorical accuracy; shapes and loss decide, as in Keras.

    If the loss is binary and a sample has several outputs, the targets decide. With one-hot targets it is the share of
    samples whose largest output is the class, as in Keras. With other targets, which mean several labels per sample, it
    is the share of correct labels.
    """

    def __init__(self, name: str, *, weighted: bool = False) -> None:
        super().__init__(name, no_sample_values, "max", weighted=weighted)
        self.labels = BinaryAccuracy(name, weighted=weighted)
        self.several: Any = False

    def reset(self) -> None:
        """Reset the sums."""
        super().reset()
        self.labels.reset()
        self.several = False

    def update(
        self,
        output: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reading: Reading = Reading(),  # noqa: B008
    ) -> None:
        """Add a batch."""
        if _is_binary(output, target, reading):
            self.labels.look(target)
            self.add(binary_hits(output, target, reading), len(output), weight)
            return
        scores, wanted = classes_last(output, target, reading.axis)
        if wanted.ndim == scores.ndim - 1:
            self.add(sparse_categorical_accuracy(scores, wanted), len(output), weight)
            return
        self.add(categorical_accuracy(scores, wanted), len(output), weight)
        if reading.binary:
            self.labels.update(output, target, weight, reading)
            one = ((wanted == 0) | (wanted == 1)).all() & (wanted.sum(-1) == 1).all()
            self.several = ~one | self.several

    def figures(self) -> dict[str, Ratio | Callable[[], Any]]:
        """Return the accuracy, as a ratio of two sums."""
        if not isinstance(self.several, Tensor):
            return super().figures()
        (several,) = self.labels.figures().values()
        assert isinstance(several, tuple)
        total = torch.where(self.several, several[0], self.total)
        count = torch.where(self.several, several[1], self.count)
        return {self.name: (total, count)}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums."""
        return {**super().state_dict(), "labels": self.labels.state_dict(), "several": self.several}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the sums."""
        super().load_state_dict(state)
        self.labels.load_state_dict(state["labels"])
        self.several = state["several"]


def _is_binary(output: Tensor, target: Tensor, reading: Reading) -> bool:
    """Return whether each output is a binary prediction."""
    if output.ndim == 1 or output.shape[-1] == 1:
        return True
    if output.ndim == 2:
        return False
    if output.shape[1] == 1 and target.shape in (output.shape, output.shape[:1] + output.shape[2:]):
        return True
    return reading.binary
