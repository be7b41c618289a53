"""Class numbers that a loss ignores, and class weights of torch's losses: metrics and weights of samples agree."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from regraft.training import Trainer

WEIGHT = torch.tensor([1.0, 2.0, 5.0])


def scenes() -> tuple[torch.Tensor, torch.Tensor]:
    """Six images (6, 2, 4, 4), and classes of their pixels (6, 4, 4), a quarter of them 255."""
    x = torch.randn(6, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    y[:, 0] = 255
    return x, y


@pytest.mark.parametrize("ignored", [255, -100, 0])
def test_metrics_by_name_leave_out_what_the_loss_ignores(ignored: int) -> None:
    x, y = scenes()
    y[y == 255] = ignored
    torch.manual_seed(0)
    net = nn.Conv2d(2, 3, 1)
    names = ["accuracy", "sparse_categorical_accuracy", "f1_score"]
    trainer = Trainer(net, "sgd", nn.CrossEntropyLoss(ignore_index=ignored), names)
    found = trainer.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)

    keep = y != ignored
    scores, wanted = net(x).movedim(1, -1)[keep], y[keep]
    plain = Trainer(nn.Identity(), None, nn.CrossEntropyLoss(), names)
    expected = plain.evaluate(scores.detach(), wanted, verbose=0, return_dict=True)
    assert found["accuracy"] == found["sparse_categorical_accuracy"]
    assert found["accuracy"] == pytest.approx((scores.argmax(-1) == wanted).float().mean().item())
    assert found["f1_score"] == pytest.approx(expected["f1_score"])


@pytest.mark.parametrize("name", ["precision", "recall", "auc"])
def test_metrics_of_two_classes_leave_them_out(name: str) -> None:
    x, y = scenes()
    torch.manual_seed(0)
    net = nn.Conv2d(2, 2, 1)
    found = Trainer(net, "sgd", nn.CrossEntropyLoss(ignore_index=255), [name]).evaluate(x, y, batch_size=4, verbose=0)
    keep = y != 255
    scores = net(x).movedim(1, -1)[keep].detach()
    expected = Trainer(nn.Identity(), None, "cross_entropy", [name]).evaluate(scores, y[keep], verbose=0)
    assert found[1] == pytest.approx(expected[1], abs=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", nn.CrossEntropyLoss()])
def test_samples_without_a_label_are_minus_100(points: Any, loss: Any) -> None:
    x, y = points[0], points[1].clone()
    y[::3] = -100
    net = nn.Linear(8, 3)
    trainer = Trainer(net, "sgd", loss, ["accuracy"], weighted_metrics=["accuracy"])
    hits, counted = (net(x).argmax(1) == y).float(), (y != -100).float()
    weight = torch.rand(len(x), generator=torch.Generator().manual_seed(1))
    found = trainer.evaluate(x, y, sample_weight=weight, verbose=0, batch_size=32)
    assert found[1] == pytest.approx((hits.sum() / counted.sum()).item())
    assert found[2] == pytest.approx(((hits * weight).sum() / (counted * weight).sum()).item())
    assert trainer.evaluate(x, y, verbose=0)[1] == found[1]


def test_a_loss_of_keras_that_ignores_a_class(keras: Any) -> None:
    x, y = torch.eye(3).repeat(4, 1), torch.tensor([0, 1, 2] * 4)
    y[:3] = 255
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    assert Trainer(nn.Identity(), None, loss, ["accuracy"]).evaluate(x, y, verbose=0)[1] == 1.0


LOSSES: list[Any] = [
    nn.CrossEntropyLoss(),
    nn.CrossEntropyLoss(weight=WEIGHT),
    nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1),
    nn.CrossEntropyLoss(ignore_index=1),
    nn.CrossEntropyLoss(weight=WEIGHT, ignore_index=2),
    nn.CrossEntropyLoss(weight=WEIGHT, reduction="sum"),
    partial(functional.cross_entropy, weight=WEIGHT),
    nn.BCEWithLogitsLoss(pos_weight=WEIGHT),
]


@pytest.mark.parametrize("loss", LOSSES, ids=[str(i) for i in range(len(LOSSES))])
def test_weights_of_samples_that_are_all_1_change_nothing(points: Any, loss: Any) -> None:
    x, y = points
    y = nn.functional.one_hot(y, 3).float() if isinstance(loss, nn.BCEWithLogitsLoss) else y
    trainer = Trainer(nn.Linear(8, 3), "sgd", loss)
    expected = trainer.evaluate(x, y, verbose=0)
    assert trainer.evaluate(x, y, sample_weight=np.ones(len(x)), verbose=0) == pytest.approx(expected, rel=1e-5)


def test_probabilities_as_targets_with_class_weights(points: Any) -> None:
    x, y = points[0], nn.functional.one_hot(points[1], 3).float()
    trainer = Trainer(nn.Linear(8, 3), "sgd", nn.CrossEntropyLoss(weight=WEIGHT))
    expected = trainer.evaluate(x, y, verbose=0)
    assert trainer.evaluate(x, y, sample_weight=np.ones(len(x)), verbose=0) == pytest.approx(expected, rel=1e-5)
