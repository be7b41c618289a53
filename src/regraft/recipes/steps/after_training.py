"""Between where fine-tuning began and where it ended: often a point on the way is better than its end.

The weights of a network before and after fine-tuning are joined by a line along which the loss stays low, and points
inside it generalise better (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models",
https://arxiv.org/abs/2109.01903). It costs a few passes over the photos that choices look at, and no training.

Whether predictions average a photo and its mirror image: where that is seen to help, and is affordable.

It takes twice the work of a prediction (Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556, section 3.2, did
so), and is affordable where fine-tuning made the input so much smaller that two passes cost no more than one of the
network's own size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.context.run_context import Job
from regraft.data.manifest import Entry
from regraft.inference.predictor import Predictor
from regraft.measure.calibration import at_best_temperature
from regraft.measure.paired import log_loss_difference
from regraft.models.classifier import Classifier
from regraft.recipes.steps.training_batches import Batches
from regraft.screen import Bar

SHARES = (0.85, 0.7, 1.0)
"""Shares of the way that are tried, the one first that was best most often (`docs/recipes.md`); 0 would be the probe,
which `auto` compares with."""


SHARES_OF_UPPER = (1.0, 0.85, 0.7)
"""Likewise where the upper blocks alone were trained: more epochs, and more often its end."""


def trained_weights(classifier: Classifier) -> dict[str, Tensor]:
    """Return copies of the parameters that are trained, by name."""
    return {name: p.detach().clone() for name, p in classifier.named_parameters() if p.requires_grad}


def settle_between(
    job: Job,
    stage: str,
    classifier: Classifier,
    start: Mapping[str, Tensor],
    choose: Sequence[Entry],
    plain: Callable[[Sequence[Entry]], Batches],
    shares: Sequence[float],
) -> float:
    """Move ``classifier`` to the best point between ``start`` and where it is; return the share of the way.

    Args:
        job: the training in progress.
        stage: what the training is called.
        classifier: as fine-tuning left it.
        start: its trained parameters as they were before.
        choose: photos whose log-loss, at the best temperature of each point, decides; without any it stays. What is
            within one standard error of the best counts as good, and the first of ``shares`` that is so is taken: the
            end of the way is a little adapted to the training photos, which few validation photos do not show.
        plain: makes the batches of photos that ``classifier`` takes now.
        shares: of the way, which are tried.
    """
    if not choose:
        return 1.0
    end = trained_weights(classifier)
    labels = job.photos.labels(choose)
    found = {}
    with job.screen.progress("between", len(shares) * len(choose)) as bar:
        for share in shares:
            move(classifier, start, end, share)
            found[share] = at_best_temperature(probabilities(classifier, plain(choose), bar), labels)
    losses = {share: log_loss(p, labels) for share, p in found.items()}
    best = min(shares, key=losses.__getitem__)
    kept = next(share for share in shares if share == best or _as_good(found[share], found[best], labels))
    move(classifier, start, end, kept)
    job.note_once(
        "between",
        "stage",
        stage=stage,
        share=kept,
        log_loss={str(share): round(loss, 6) for share, loss in losses.items()},
    )
    return kept


@torch.inference_mode()
def probabilities(classifier: Classifier, batches: Batches, bar: Bar | None = None) -> NDArray[np.float64]:
    """Return the probabilities (n, k) of photos that come in batches, in single precision."""
    device = next(classifier.parameters()).device
    classifier.eval()
    found = []
    for x, _ in batches.epoch(0):
        found.append(torch.softmax(classifier(x.to(device)).double(), dim=1).cpu().numpy())
        if bar is not None:
            bar.advance(len(x))
    return np.concatenate(found)


def log_loss(p: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the mean log-loss of probabilities (n, k), in nats."""
    return float(-np.log(np.maximum(p[np.arange(len(labels)), labels], np.finfo(np.float64).eps)).mean())


def _as_good(p: NDArray[np.float64], best: NDArray[np.float64], labels: NDArray[np.int64]) -> bool:
    difference = log_loss_difference(p, best, labels)
    return bool(difference.value <= difference.standard_error)


@torch.no_grad()
def move(classifier: Classifier, start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> None:
    """Set the trained parameters to the point at ``share`` of the way; what is not trained is not touched."""
    for name, parameter in classifier.named_parameters():
        if name in end:
            parameter.copy_(end[name] if share == 1.0 else torch.lerp(start[name], end[name], share))


PLAIN, MIRRORED = 1, 2
"""Views of each photo whose probabilities are averaged."""


def views_at_prediction(job: Job, stage: str, classifier: Classifier, choose: Sequence[Entry]) -> int:
    """Return how many views of each photo the predictions of ``classifier`` average from now on.

    Args:
        job: the training, as it is for fine-tuning.
        stage: what the training is called.
        classifier: as it will be kept.
        choose: photos whose log-loss, at the best temperature of either, decides; it must fall by more than a standard
            error.
    """
    p = job.backbone.spec.preprocessing
    if not choose or job.own_pixels is None or MIRRORED * p.height * p.width > job.own_pixels:
        return PLAIN
    labels, found = job.photos.labels(choose), {}
    with job.screen.progress("mirrored", (PLAIN + MIRRORED) * len(choose)) as bar:
        for views in (PLAIN, MIRRORED):
            predictor = Predictor(classifier, device=job.device.type, workers=job.workers, views=views, own=True)
            scores = predictor.scores(choose, store=job.store, bar=bar)
            if scores.failed:  # a photo is no longer there
                return PLAIN
            found[views] = at_best_temperature(scores.values, labels)
    difference = log_loss_difference(found[PLAIN], found[MIRRORED], labels)
    kept = MIRRORED if difference.value > difference.standard_error else PLAIN
    change = f"{'falls' if difference.value > 0 else 'rises'} by {abs(difference.value):.3f}"
    job.note_once(
        "mirror", "stage", stage=stage, gain=difference.value, standard_error=difference.standard_error, views=kept
    )
    job.screen.line(
        "mirror",
        "predictions average a photo and its mirror image" if kept == MIRRORED else "predictions take the photo alone",
        f"(validation log-loss {change} ± {difference.standard_error:.3f} with both)",
    )
    return kept
