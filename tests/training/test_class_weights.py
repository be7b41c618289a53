"""Weights of classes and of samples, in the forms that people pass; each counts, or is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from regraft.errors import TrainingError
from regraft.screen import QuietScreen
from regraft.training import Trainer

X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(24) % 3
WEIGHTS = torch.rand(24, generator=torch.Generator().manual_seed(1))


def linear(outputs: int = 3, loss: object = "cross_entropy", **options: object) -> Trainer:
    torch.manual_seed(0)
    return Trainer(nn.Linear(4, outputs), "sgd", loss, screen=QuietScreen(), **options)


def trained(outputs: int = 3, y: object = Y, x: object = X, loss: object = "cross_entropy", **more: object):
    model = linear(outputs, loss)
    model.fit(x, y, batch_size=8, verbose=0, **more)
    return model.module.weight.detach().clone()


@pytest.mark.parametrize(
    "form", [[1.0, 5.0, 2.0], np.array([1.0, 5.0, 2.0]), torch.tensor([1.0, 5.0, 2.0]), {np.int64(1): 5, 2.0: 2.0}]
)
def test_every_form_of_class_weight_gives_the_same_weights(form):
    assert torch.equal(trained(class_weight=form), trained(class_weight={0: 1.0, 1: 5.0, 2: 2.0}))


def test_no_class_weights_are_weights_of_1():
    assert torch.equal(trained(class_weight={}), trained())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"cat": 1.0}, "class_weight names the class 'cat'; expected class numbers from 0 on"),
        ({0.5: 1.0}, "class_weight names the class 0.5"),
        ({-1: 1.0}, "class_weight names the class -1"),
        ({True: 1.0}, "class_weight names the class True"),
        ("balanced", "class_weight is 'balanced'; expected a dict from class number to weight"),
        ({0: float("nan")}, "the weight of class 0 is nan; expected a number of 0 or more"),
        ({0: -1.0}, "the weight of class 0 is -1.0"),
        ({0: "much"}, "the weight of class 0 is 'much'"),
        ({5: 9.0}, "class_weight names class 5, and the module has outputs for the classes 0 to 2"),
    ],
)
def test_class_weights_that_would_not_count_are_refused(weights, message):
    with pytest.raises(TrainingError, match=message):
        trained(class_weight=weights)


def test_a_class_beyond_two_is_refused_for_one_output():
    with pytest.raises(TrainingError, match="names class 2, and the module has outputs for the classes 0 to 1"):
        trained(1, (Y > 0).float(), loss="bce_with_logits", class_weight={2: 9.0})


def test_class_weights_of_values_are_refused():
    with pytest.raises(TrainingError, match=r"class_weight needs class numbers as targets; found \d.5: pass sample"):
        trained(1, Y + 2.5, loss="mse", class_weight={0: 2.0})


def test_class_weights_of_several_labels_are_refused():
    labels = (torch.rand(24, 3) > 0.3).float()
    with pytest.raises(TrainingError, match="a sample has several labels: pass nn"):
        trained(y=labels, loss="bce_with_logits", class_weight={1: 2.0})
    one_hot = nn.functional.one_hot(Y).float()
    assert not torch.equal(
        trained(y=one_hot, loss="bce_with_logits", class_weight={1: 9.0}), trained(y=one_hot, loss="bce_with_logits")
    )


def test_class_weights_of_places_are_refused():
    model = Trainer(nn.Conv2d(3, 2, 1), "sgd", "cross_entropy", screen=QuietScreen())
    photos, places = torch.randn(4, 3, 5, 6), torch.randint(0, 2, (4, 5, 6))
    with pytest.raises(TrainingError, match=r"targets of shape \(4, 5, 6\) have a class for each place"):
        model.train_on_batch(photos, places, class_weight={1: 9.0})
    model = Trainer(nn.Conv1d(3, 2, 1), "sgd", "cross_entropy", screen=QuietScreen())
    with pytest.raises(TrainingError, match=r"targets of shape \(4, 5\) have a class for each place"):
        model.train_on_batch(torch.randn(4, 3, 5), torch.randint(0, 2, (4, 5)), class_weight={1: 9.0})


def test_class_weights_of_several_outputs_are_refused():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 1)

        def forward(self, x):
            return self.a(x), self.b(x)

    model = Trainer(Two(), "sgd", ["cross_entropy", "mse"], screen=QuietScreen())
    with pytest.raises(TrainingError, match="one target for each sample; found a tuple of targets: pass sample_weight"):
        model.fit(X, (Y, X[:, :1]), class_weight={1: 2.0}, verbose=0)


def test_classes_that_the_loss_ignores_weigh_nothing():
    y = Y.clone()
    y[::4] = -100
    kept = y >= 0
    model = linear(loss=nn.CrossEntropyLoss(reduction="sum"))
    ignored = model.train_on_batch(X, y, class_weight={1: 5.0})
    assert ignored == pytest.approx(linear(loss=nn.CrossEntropyLoss(reduction="sum")).train_on_batch(
        X[kept], y[kept], class_weight={1: 5.0}
    ), rel=1e-6)  # fmt: skip


@pytest.mark.parametrize("loss", ["cross_entropy", "sparse_categorical_crossentropy"])
def test_a_column_of_sample_weights_counts_as_a_list(loss):
    outputs = nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1)) if loss.startswith("sparse") else nn.Linear(4, 3)
    model = Trainer(outputs, "sgd", loss, weighted_metrics=["accuracy"], screen=QuietScreen())
    expected = model.evaluate(X, Y, sample_weight=WEIGHTS, verbose=0)
    assert model.evaluate(X, Y, sample_weight=WEIGHTS[:, None], verbose=0) == expected
    batches = [(X[:12], Y[:12], WEIGHTS[:12, None]), (X[12:], Y[12:], WEIGHTS[12:, None])]
    assert model.evaluate(batches, verbose=0) == pytest.approx(expected, rel=1e-6)


def test_sample_weights_of_another_shape_are_refused():
    with pytest.raises(TrainingError, match=r"weights of the samples have shape \(8, 2\), and the losses of cross_ent"):
        trained(sample_weight=torch.ones(24, 2))
    with pytest.raises(TrainingError, match=r"have shape \(1,\), and the losses of cross_entropy have shape \(24,\)"):
        linear().fit([(X, Y, torch.ones(1))], verbose=0)


def test_weights_of_labels_count_one_by_one():
    labels, weights = (X[:, :3] > 0).float(), torch.rand(24, 3)
    model = linear(loss="bce_with_logits")
    each = nn.functional.binary_cross_entropy_with_logits(model.module(X), labels, weights)
    assert model.evaluate(X, labels, sample_weight=weights, verbose=0) == pytest.approx(float(each.detach()), rel=1e-6)


def test_a_third_part_that_is_no_weight_is_reported():
    with pytest.raises(TrainingError, match=r"weights of its samples; expected numbers, found 'a.jpg'"):
        linear().fit([(X, Y, ["a.jpg"] * 24)], verbose=0)
    numbered = torch.utils.data.TensorDataset(X, Y, torch.arange(24))
    with pytest.warns(RuntimeWarning, match="found different whole numbers, which look like the numbers of rows"):
        linear().fit(torch.utils.data.DataLoader(numbered, 12), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear().fit(X, Y, sample_weight=np.arange(24) % 2 + 1, verbose=0)


@pytest.mark.parametrize("how", ["training", "validation", "evaluation"])
def test_a_batch_of_four_parts_is_refused(how):
    parts = (X, Y, WEIGHTS, Y)
    with pytest.raises(TrainingError, match=r"a batch has 4 parts; expected x, \(x, y\) or \(x, y, weight\)"):
        if how == "training":
            linear().fit([parts], verbose=0)
        elif how == "validation":
            linear().fit(X, Y, validation_data=parts, verbose=0)
        else:
            linear().evaluate([parts], verbose=0)
    assert linear().predict([parts], verbose=0).shape == (24, 3)
