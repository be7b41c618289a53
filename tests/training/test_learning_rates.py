"""Finding a learning rate, and giving blocks their own."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from regraft.errors import TrainingError
from regraft.training import LearningRateCurve, Trainer, discriminative_groups


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)
    )


def test_the_finder_changes_nothing(points: Any) -> None:
    optimizer = lambda p: torch.optim.SGD([{"params": p[:2], "lr": 0.01}, {"params": p[2:], "lr": 0.1}], momentum=0.9)  # noqa: E731
    plain, searched = (Trainer(network(), optimizer, "cross_entropy", ["accuracy"], ema=0.9) for _ in range(2))
    torch.manual_seed(1)
    for trainer in (plain, searched):
        torch.manual_seed(1)
        trainer.fit(*points, verbose=0)
        if trainer is searched:
            curve = trainer.find_lr(*points, batch_size=32, steps=40)
        trainer.fit(*points, epochs=2, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(plain.get_weights(), searched.get_weights(), strict=True))
    assert plain.history is not None
    assert searched.history is not None
    assert plain.history.history == searched.history.history
    assert [g["lr"] for g in searched.optimizer.param_groups] == [0.01, 0.1]  # type: ignore[union-attr]
    assert curve.rates[0] == pytest.approx(1e-6)
    assert 1e-3 < curve.suggestion <= curve.at_minimum < 10


def test_the_suggestion_trains_better_than_one_far_from_it(points: Any) -> None:
    trainer = Trainer(network(), "sgd", "cross_entropy")
    found = trainer.find_lr(*points, batch_size=20).suggestion
    losses = {}
    for rate in (found / 300, found, found * 300):
        own = Trainer(network(), "sgd", "cross_entropy", learning_rate=rate)
        losses[rate] = own.fit(*points, epochs=5, verbose=0).history["loss"][-1]
    assert min(losses, key=lambda r: losses[r] if np.isfinite(losses[r]) else np.inf) == found


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    rates = tuple(10.0**k for k in np.linspace(-5, 0, 30))
    losses = tuple(float(x) for x in [*np.linspace(1.0, 0.4, 25), 0.6, 1.0, 2.0, 5.0, 9.0])
    curve = LearningRateCurve(rates, losses)
    assert curve.at_minimum == rates[24]
    curve.plot(tmp_path / "lr.svg")
    root = ET.fromstring((tmp_path / "lr.svg").read_text())
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"learning rate", "loss", "1e-5", "1e0"} <= set(texts)
    with pytest.raises(TrainingError, match=r"expected a name that ends with \.svg"):
        curve.plot(tmp_path / "lr.png")


def test_wrong_searches(points: Any) -> None:
    trainer = Trainer(network(), "sgd", "cross_entropy")
    with pytest.raises(TrainingError, match="expected 0 < start < end and 2 steps or more"):
        trainer.find_lr(*points, start=1.0, end=0.1)
    with pytest.raises(TrainingError, match="the loss is NaN or diverges at the first learning rates"):
        trainer.find_lr(points[0] * float("nan"), points[1])


def test_rates_decay_from_top_to_bottom() -> None:
    model = network()
    groups = discriminative_groups(model, 0.1, decay=0.5)
    assert [g["lr"] for g in groups] == pytest.approx([0.0125, 0.025, 0.05, 0.1])
    assert [p for g in groups for p in g["params"]] == list(model.parameters())
    pair = discriminative_groups(model, (0.001, 1.0))
    assert [g["lr"] for g in pair] == pytest.approx([0.001, 0.01, 0.1, 1.0])


def test_weight_decay_leaves_out_what_has_one_dimension() -> None:
    groups = discriminative_groups(network(), 0.1, weight_decay=0.05)
    assert all((p.ndim > 1) == (g["weight_decay"] == 0.05) for g in groups for p in g["params"])
    assert sum(len(g["params"]) for g in groups) == 8


def test_frozen_parameters_and_wrapped_modules() -> None:
    model = network()
    model[0].requires_grad_(False)  # type: ignore[union-attr]
    groups = discriminative_groups(nn.Sequential(model), 0.1, decay=0.5)
    assert [g["lr"] for g in groups] == pytest.approx([0.025, 0.05, 0.1])
    one = discriminative_groups(nn.Linear(2, 2), 0.3, decay=0.5)
    assert [g["lr"] for g in one] == [0.3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0.0}, "expected numbers above 0"),
        ({"learning_rate": (0.1, 0.2), "decay": 0.5}, "either a pair of learning rates or decay"),
        ({"learning_rate": 0.1, "blocks": [0]}, "leave out parameters that need a gradient: .*'4.weight'"),
        ({"learning_rate": 0.1, "blocks": [0, 1, 4, 6, 6]}, "in more than one of the blocks"),
    ],
)
def test_wrong_groups(arguments: dict[str, Any], message: str) -> None:
    model = network()
    if "blocks" in arguments:
        arguments = arguments | {"blocks": [list(model.children())[i] for i in arguments["blocks"]]}
    with pytest.raises(TrainingError, match=message):
        discriminative_groups(model, **arguments)
