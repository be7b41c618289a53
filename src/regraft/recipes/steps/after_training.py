"""Two choices after fine-tuning: a point between its start and its end, and averaging over mirror images.

The weights before and after fine-tuning are joined by a line along which the loss stays low, and points inside it
generalize better (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", https://arxiv.org/abs/2109.01903).
Trying them costs a few passes over the validation photos, and no training.

Averaging the predictions for a photo and its mirror image (Simonyan and Zisserman 2015,
https://arxiv.org/abs/1409.1556, section 3.2) doubles the work of a prediction. It is affordable if fine-tuning uses a
smaller input, so that two passes cost no more than one at the network's default size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.context.decisions import Event, Line
from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.inference.predictor import Predictor
from regraft.measure.calibration import at_best_temperature
from regraft.measure.paired import Difference, log_loss_difference
from regraft.models.classifier import Classifier
from regraft.recipes.steps.training_batches import Batches
from regraft.screen import Bar, Screen

INTERPOLATION_STEPS = (0.85, 0.7, 1.0)
"""Shares of the way from start to end that are tried, the most successful first (`docs/recipes.md`); 0 would be the
probe, which `auto` compares with."""

INTERPOLATION_STEPS_UPPER = (1.0, 0.85, 0.7)
"""The same if only upper blocks were trained: with more epochs, the end is best more often."""

PLAIN, MIRRORED = 1, 2
"""Views of each photo that a prediction averages."""


@dataclass(frozen=True)
class Interpolation:
    """The chosen point between the weights before and after a training.

    Attributes:
        stage: name of the training.
        share: share of the way from start to end.
        log_loss: validation log-loss at each share that was tried; empty without validation photos.
    """

    stage: str
    share: float
    log_loss: Mapping[float, float]

    def event(self) -> Event | None:
        """Return the event for the journal."""
        if not self.log_loss:
            return None
        losses = {str(share): round(loss, 6) for share, loss in self.log_loss.items()}
        return Event("between", {"stage": self.stage, "share": self.share, "log_loss": losses}, ("stage",))

    def line(self) -> Line | None:
        """Return nothing: the screen has no line for it."""
        return None


@dataclass(frozen=True)
class MirrorAveraging:
    """The choice whether predictions average a photo and its mirror image.

    Attributes:
        stage: name of the training.
        views: views of each photo that predictions average.
        gain: fall of the validation log-loss with both pictures, or None if it was not tried.
    """

    stage: str
    views: int
    gain: Difference | None = None

    def event(self) -> Event | None:
        """Return the event for the journal."""
        if self.gain is None:
            return None
        facts = {"stage": self.stage, "gain": self.gain.value, "standard_error": self.gain.standard_error}
        return Event("mirror", {**facts, "views": self.views}, ("stage",))

    def line(self) -> Line | None:
        """Return the line for the screen."""
        if self.gain is None:
            return None
        change = f"{'falls' if self.gain.value > 0 else 'rises'} by {abs(self.gain.value):.3f}"
        both = "predictions average a photo and its mirror image"
        chosen = both if self.views == MIRRORED else "predictions use the photo only"
        loss = f"(validation log-loss {change} ± {self.gain.standard_error:.3f} with both)"
        return Line("mirror", "", detail=f"{chosen} {loss}")


def trained_weights(classifier: Classifier) -> dict[str, Tensor]:
    """Return copies of the trainable parameters, by name."""
    return {name: p.detach().clone() for name, p in classifier.named_parameters() if p.requires_grad}


def choose_interpolation(
    stage: str,
    classifier: Classifier,
    start: Mapping[str, Tensor],
    batches: Callable[[], Batches],
    labels: NDArray[np.int64],
    shares: Sequence[float],
    screen: Screen,
) -> Interpolation:
    """Return the best point between ``start`` and the weights of ``classifier``, which gets its weights.

    A point within one standard error of the best counts as equally good, and the first such one in
    ``shares`` is chosen. The end is slightly overfitted to the training photos, and few validation photos do not show
    this.

    Args:
        stage: name of the training.
        classifier: the classifier after fine-tuning.
        start: its trainable parameters before.
        batches: makes the batches of the validation photos, in the form that ``classifier`` takes now.
        labels: class of each validation photo, shape (n,), int64; without any, the end is chosen.
        shares: shares of the way to try; each is compared by its log-loss at its best temperature.
        screen: where progress goes.
    """
    if not len(labels):
        return Interpolation(stage, 1.0, {})
    end = trained_weights(classifier)
    tried = {}
    with screen.progress("between", len(shares) * len(labels)) as bar:
        for share in shares:
            set_interpolated_weights(classifier, start, end, share)
            tried[share] = at_best_temperature(probabilities(classifier, batches(), bar), labels)
    losses = {share: log_loss(p, labels) for share, p in tried.items()}
    best = min(shares, key=losses.__getitem__)
    chosen = next(share for share in shares if share == best or _as_good(tried[share], tried[best], labels))
    set_interpolated_weights(classifier, start, end, chosen)
    return Interpolation(stage, chosen, losses)


@torch.inference_mode()
def probabilities(classifier: Classifier, batches: Batches, bar: Bar | None = None) -> NDArray[np.float64]:
    """Return the probabilities of photos that come in batches, shape (n, k), computed in single precision."""
    device = next(classifier.parameters()).device
    classifier.eval()
    rows = []
    for x, _ in batches.epoch(0):
        rows.append(torch.softmax(classifier(x.to(device)).double(), dim=1).cpu().numpy())
        if bar is not None:
            bar.advance(len(x))
    return np.concatenate(rows)


def log_loss(p: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the mean log-loss of probabilities (n, k), in nats."""
    return float(-np.log(np.maximum(p[np.arange(len(labels)), labels], np.finfo(np.float64).eps)).mean())


def _as_good(p: NDArray[np.float64], best: NDArray[np.float64], labels: NDArray[np.int64]) -> bool:
    difference = log_loss_difference(p, best, labels)
    return bool(difference.value <= difference.standard_error)


@torch.no_grad()
def set_interpolated_weights(
    classifier: Classifier, start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float
) -> None:
    """Set the trainable parameters to the point at ``share`` of the way from ``start`` to ``end``."""
    for name, parameter in classifier.named_parameters():
        if name in end:
            parameter.copy_(end[name] if share == 1.0 else torch.lerp(start[name], end[name], share))


def choose_mirror_averaging(
    context: RunContext, stage: str, classifier: Classifier, validation: Sequence[Entry], saving: float
) -> MirrorAveraging:
    """Return whether the predictions of ``classifier`` should average a photo and its mirror image.

    Args:
        context: the run, with the network at the size of the fine-tuning.
        stage: name of the training.
        classifier: the classifier after fine-tuning.
        validation: photos whose log-loss, each at its best temperature, must fall by more than a standard error.
        saving: how much cheaper a pass is than at the network's own size; below 2, nothing is tried.
    """
    if not validation or saving < MIRRORED:
        return MirrorAveraging(stage, PLAIN)
    labels, tried = context.dataset.labels(validation), {}
    with context.screen.progress("mirrored", (PLAIN + MIRRORED) * len(validation)) as bar:
        for views in (PLAIN, MIRRORED):
            predictor = Predictor(
                classifier, device=context.device.type, workers=context.workers, views=views, own=True
            )
            scores = predictor.scores(validation, store=context.store, bar=bar)
            if scores.failed:  # a photo has disappeared
                return MirrorAveraging(stage, PLAIN)
            tried[views] = at_best_temperature(scores.values, labels)
    gain = log_loss_difference(tried[PLAIN], tried[MIRRORED], labels)
    return MirrorAveraging(stage, MIRRORED if gain.value > gain.standard_error else PLAIN, gain)
