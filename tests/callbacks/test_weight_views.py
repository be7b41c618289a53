"""Weights as Keras's variables: published kinds of callbacks that read and set them, with Keras and here."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from callbacks.test_third_party import close, keras_model, own_model
from callbacks.third_party_weights import DATA, KINDS
from regraft import callbacks as ours
from regraft.errors import TrainingError
from regraft.training import Trainer


@pytest.mark.parametrize("name", KINDS)
def test_a_callback_does_the_same_on_both(keras: Any, name: str) -> None:
    make, arguments = KINDS[name]
    options = {"epochs": 4, "batch_size": 4, "shuffle": False, "verbose": 0, "validation_split": 0.25}
    results = []
    for model, source in ((keras_model(keras), keras.callbacks), (own_model(), ours), (own_model(), keras.callbacks)):
        callback = make(source)(**arguments)
        history = model.fit(*DATA, callbacks=[callback], **options).history
        figures = {key: [float(v) for v in values] for key, values in history.items()}
        results.append((callback.outcome, figures, [float(np.sum(w)) for w in model.get_weights()]))
    assert close(results[1], results[0]), results
    assert close(results[2], results[1])


def network() -> tuple[nn.Sequential, Trainer]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    net[0].requires_grad_(False)
    return net, Trainer(net, "sgd", "mse")


def test_names_and_values() -> None:
    net, trainer = network()
    assert [w.name for w in trainer.weights] == list(net.state_dict())
    assert [w.path for w in trainer.trainable_weights] == ["1/weight", "1/bias", "2/weight", "2/bias"]
    assert [w.name for w in trainer.non_trainable_weights][:3] == ["0.weight", "0.bias", "1.running_mean"]
    assert [w.name for w in trainer.layers[1].weights][:2] == ["1.weight", "1.bias"]
    first = trainer.layers[0].weights[0]
    assert first.value is net[0].weight
    assert not first.trainable
    first.trainable = True
    assert net[0].weight.requires_grad
    first.requires_grad = False
    assert not net[0].weight.requires_grad
    first.requires_grad_(True)
    assert trainer.trainable_weights[0].name == "0.weight"
    assert torch.equal(first * 2, net[0].weight * 2)
    assert type(first * 2) is torch.Tensor
    kept = first.numpy()
    first.assign(np.ones((4, 3)))
    assert net[0].weight.sum() == 12
    assert kept.sum() != 12
    with torch.no_grad():
        first.mul_(2)
    assert net[0].weight.sum() == 24
    assert "0.weight, shape (4, 3)" in repr(first)
    with pytest.raises(TrainingError, match=r"0.weight has shape \(4, 3\), and was assigned \(3, 4\)"):
        first.assign(np.ones((3, 4)))


def test_gradients_are_those_of_the_parameter() -> None:
    net, trainer = network()
    loss = nn.functional.mse_loss(net(torch.from_numpy(DATA[0])), torch.from_numpy(DATA[1]))
    by_view = torch.autograd.grad(loss, trainer.trainable_weights, retain_graph=True)
    loss.backward()
    for gradient, view in zip(by_view, trainer.trainable_weights, strict=True):
        assert view.grad is view.value.grad
        assert torch.equal(gradient, view.grad)
    nn.utils.clip_grad_norm_(trainer.trainable_weights, 1e-3)
    assert sum(p.grad.square().sum() for p in net.parameters() if p.grad is not None) < 1.1e-6
    with pytest.raises(ValueError, match="non-leaf"):
        torch.optim.SGD(trainer.trainable_weights, 0.1)  # it would never be trained


def test_copies_are_plain_tensors() -> None:
    _, trainer = network()
    view = trainer.weights[0]
    for other in (copy.copy(view), copy.deepcopy(view), pickle.loads(pickle.dumps(view)), view.detach().clone()):
        assert type(other) is torch.Tensor
        assert torch.equal(other, view.value)
        assert other.data_ptr() != view.data_ptr()
