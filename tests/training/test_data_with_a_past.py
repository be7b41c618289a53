"""Data that something else has computed: in inference mode, with a gradient graph, or as a list of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from regraft.errors import TrainingError
from regraft.training import Trainer


def trainer() -> Trainer:
    torch.manual_seed(0)
    return Trainer(nn.Linear(8, 3), "sgd", "cross_entropy", ["accuracy"])


@pytest.mark.parametrize("shuffle", [False, True])
def test_features_computed_in_inference_mode(points: Any, shuffle: bool) -> None:
    """A frozen backbone runs in `torch.inference_mode`, and a head is trained on what it returns."""
    expected = trainer().fit(*points, epochs=2, verbose=0, shuffle=shuffle).history
    with torch.inference_mode():
        x, y = points[0].clone(), points[1].clone()
    assert trainer().fit(x, y, epochs=2, verbose=0, shuffle=shuffle).history == expected
    model = trainer()
    loader = DataLoader(TensorDataset(x, y), 50)
    model.fit(loader, verbose=0)
    model.train_on_batch(x, y)
    assert model.predict(x, verbose=0).shape == (200, 3)


def test_fit_of_arrays_inside_inference_mode(points: Any) -> None:
    x, y = (part.numpy() for part in points)
    expected = trainer().fit(x, y, verbose=0, shuffle=False).history
    model = trainer()
    with torch.inference_mode():
        assert model.fit(x, y, verbose=0, shuffle=False).history == expected


@pytest.mark.parametrize("part", [0, 1])
def test_data_with_a_gradient_graph_is_reported_and_used_as_numbers(points: Any, part: int) -> None:
    teacher = nn.Linear(8, 8 if part == 0 else 3)
    data = [points[0], nn.functional.one_hot(points[1], 3).float()]
    data[part] = teacher(points[0]).softmax(-1)
    plain = [one.detach() for one in data]
    expected = trainer().fit(*plain, epochs=2, verbose=0).history
    with pytest.warns(RuntimeWarning, match="output of a module, with its gradient graph.*is not trained"):
        assert trainer().fit(*data, epochs=2, verbose=0).history == expected
    assert teacher.weight.grad is None


def test_a_list_of_all_samples_is_explained(points: Any) -> None:
    samples = list(points[0].numpy())
    message = "x is a list of 200 arrays, which are 200 inputs, as in Keras, and the module takes 1; .*np.stack"
    for call in (trainer().predict, trainer().fit, trainer().evaluate):
        with pytest.raises(TrainingError, match=message):
            call(samples, verbose=0)
    assert trainer().predict(np.stack(samples), verbose=0).shape == (200, 3)
    free = Trainer(nn.DataParallel(nn.Bilinear(8, 8, 3)), "sgd", "cross_entropy")
    assert free.predict([points[0], points[0]], verbose=0).shape == (200, 3)


@pytest.mark.parametrize("length", ["unknown", "stopped"])
def test_gradients_of_an_incomplete_update_are_averaged(points: Any, length: str) -> None:
    """An epoch of unknown length, or one that is stopped, ends with fewer batches than ``accumulate``."""
    x, y = points
    parts = list(zip(x.split(40), y.split(40), strict=True))
    torch.manual_seed(0)
    net = nn.Linear(8, 3)
    model = Trainer(net, "sgd", "cross_entropy", learning_rate=0.1, accumulate=3)
    plain = nn.Linear(8, 3)
    plain.load_state_dict(net.state_dict())
    if length == "unknown":
        model.fit(iter(parts), verbose=0)
        groups = [parts[:3], parts[3:]]
    else:
        from regraft.callbacks import LambdaCallback

        stop = LambdaCallback(on_train_batch_end=lambda batch, logs: batch == 1 and model.stop("enough"))
        model.fit(parts, verbose=0, callbacks=[stop])
        groups = [parts[:2]]
    optimizer = torch.optim.SGD(plain.parameters(), 0.1)
    for group in groups:
        optimizer.zero_grad()
        for part, target in group:
            (nn.functional.cross_entropy(plain(part), target) / len(group)).backward()
        optimizer.step()
    torch.testing.assert_close(net.weight, plain.weight)
