"""The classifier and the trainer of a fine-tuning, as all fine-tunings set them up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.models.classifier import Classifier
from regraft.probe.linear_probe import Probe
from regraft.recipes.steps.solve_probe import first_network_classifier
from regraft.recipes.steps.step_precision import Precision
from regraft.training import Trainer

LAYER_DECAY = 0.8
WEIGHT_DECAY = 0.05

LABEL_SMOOTHING = 0.1
"""Share of a photo's label that is spread over all classes (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567): a
network that is trained on few photos soon fits them all with confidence, and then learns nothing more."""

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises to its peak."""


def smoothed_floor(classes: int) -> float:
    """Return the lowest possible loss with smoothed labels, in nats: the entropy of a label (10 classes: 0.5)."""
    wrong = LABEL_SMOOTHING / classes
    right = 1 - LABEL_SMOOTHING + wrong
    return -(right * math.log(right) + (classes - 1) * wrong * math.log(wrong))


def pretrained_classifier(context: RunContext, probe: Probe) -> Classifier:
    """Return the pretrained network with the probe as its head, all blocks frozen.

    It is a copy: the backbone of the run stays as it was pretrained.
    """
    classifier = Classifier(context.backbone, context.dataset.classes)
    classifier.load_state_dict(first_network_classifier(context, probe).state_dict())
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return classifier


def fine_tuning_trainer(
    classifier: Classifier, lr: float, *, precision: Precision, device: torch.device, **more: Any
) -> Trainer:
    """Return the trainer of a fine-tuning.

    Args:
        classifier: the classifier, with its blocks unfrozen.
        lr: learning rate of the head and the top block; it falls from block to block towards the bottom.
        precision: of training steps.
        device: where to train.
        **more: more arguments of `Trainer`.
    """
    groups = classifier.parameter_groups(lr, layer_decay=LAYER_DECAY, weight_decay=WEIGHT_DECAY)
    return Trainer(
        classifier,
        optimizer=torch.optim.AdamW(groups, lr=lr),
        loss=torch.nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING),
        precision=precision,
        device=device,
        **more,
    )


def frozen_tensors(classifier: Classifier) -> list[str]:
    """Return the names of the tensors that stay as they were pretrained, normalization statistics among them."""
    trained = {name for name, parameter in classifier.named_parameters() if parameter.requires_grad}
    return [name for name in classifier.state_dict() if name not in trained]


def balanced_weights(context: RunContext, train: Sequence[Entry]) -> dict[int, float] | None:
    """Return the weight of each class with which all classes count the same, or None without ``class_weight``."""
    if context.config.class_weight is None:
        return None
    counts = Counter(context.dataset.labels(train).tolist())
    return {label: len(train) / (len(counts) * n) for label, n in counts.items()}
