"""A last batch of one sample before batch normalization."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from regraft.callbacks import LambdaCallback
from regraft.errors import TrainingError
from regraft.screen import PlainScreen
from regraft.training import Trainer


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.BatchNorm1d(16), nn.Linear(16, 3))


def data(points: Any, kind: str) -> tuple[Any, ...]:
    x, y = points[0][:65], points[1][:65]
    if kind == "arrays":
        return x, y
    dataset = TensorDataset(x, y)
    if kind == "generator":
        return (list(zip(x.split(32), y.split(32), strict=True)),)
    return (dataset if kind == "dataset" else DataLoader(dataset, batch_size=32),)


@pytest.mark.parametrize("kind", ["arrays", "dataset", "loader", "generator"])
@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"precision": "bf16"}, {"compile": {"backend": "eager"}}])
def test_every_sample_is_trained_on(points: Any, kind: str, options: dict[str, Any]) -> None:
    out = io.StringIO()
    trainer = Trainer(network(), "adam", "cross_entropy", screen=PlainScreen(out), **options)
    seen: list[int] = []
    look = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(trainer.meter.size))
    history = trainer.fit(*data(points, kind), epochs=2, shuffle=False, verbose=0, callbacks=[look])
    assert seen == [32, 64, 65] * 2
    assert history.params["steps"] == 3
    assert out.getvalue().count("in a batch of 1 sample, normalization uses its running statistics") == 1
    assert trainer.train_modes is not None
    curve = trainer.find_lr(*data(points, kind), batch_size=None, steps=9)
    assert len(curve.rates) > 3


def test_it_is_trained_on_with_the_running_statistics(points: Any) -> None:
    """What a plain loop gives that puts the normalization layers into inference mode for that batch."""
    x, y = data(points, "arrays")
    plain = network()
    optimizer = torch.optim.SGD(plain.parameters(), 0.1)
    torch.manual_seed(1)
    for _ in range(2):
        for part, target in zip(x.split(32), y.split(32), strict=True):
            plain.train()
            if len(part) == 1:
                plain[1].eval(), plain[3].eval()
            optimizer.zero_grad()
            nn.functional.cross_entropy(plain(part), target).backward()
            optimizer.step()
    trainer = Trainer(network(), "sgd", "cross_entropy", learning_rate=0.1)
    torch.manual_seed(1)
    trainer.fit(x, y, epochs=2, shuffle=False, verbose=0)
    same = zip(plain.state_dict().values(), trainer.module.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert int(trainer.module[1].num_batches_tracked) == 4


def test_one_photo_of_several_pixels_is_a_batch_like_any_other(points: Any) -> None:
    """Its normalization has a value for each pixel: torch trains on it, and so does fit, to the same bits."""
    x, y = points[0][:33].reshape(33, 2, 2, 2), points[1][:33]

    def images() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))

    plain = images()
    optimizer = torch.optim.SGD(plain.parameters(), 0.01)
    for part, target in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(part), target).backward()
        optimizer.step()
    trainer = Trainer(images(), "sgd", "cross_entropy")
    trainer.fit(x, y, shuffle=False, verbose=0)
    same = zip(plain.state_dict().values(), trainer.module.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


def test_batches_that_all_have_one_sample(points: Any) -> None:
    x, y = points
    message = (
        r"training batch 1: a batch of 1 sample cannot train the normalization layer 1 \(BatchNorm1d\).*batch_size"
    )
    with pytest.raises(TrainingError, match=message):
        Trainer(network(), "sgd", "cross_entropy").fit(x, y, batch_size=1, verbose=0)
    with pytest.raises(TrainingError, match="a batch of 1 sample"):
        Trainer(network(), "sgd", "cross_entropy").train_on_batch(x[:1], y[:1])
    with pytest.raises(TrainingError, match="a batch of 1 sample"):
        Trainer(network(), "sgd", "cross_entropy").find_lr(x, y, batch_size=1)
    net = network()
    net[1].requires_grad_(False), net[3].requires_grad_(False)
    Trainer(net, "sgd", "cross_entropy").fit(x, y, batch_size=1, verbose=0)  # the advice of the message
