"""Inputs of any number format: what Keras makes of them, and what a torch module wants itself."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from regraft.screen import PlainScreen, QuietScreen
from regraft.training import Trainer

DRAW = np.random.default_rng(0)
INPUTS = {
    "float64": DRAW.normal(size=(40, 6)),
    "float16": DRAW.normal(size=(40, 6)).astype(np.float16),
    "uint8": DRAW.integers(0, 255, (40, 6)).astype(np.uint8),
    "int64": DRAW.integers(0, 9, (40, 6)),
    "int32": DRAW.integers(0, 9, (40, 6)).astype(np.int32),
    "bool": DRAW.integers(0, 2, (40, 6)).astype(bool),
}
CLASSES = DRAW.integers(0, 3, 40)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("tensors", [False, True])
def test_the_history_is_that_of_keras(keras: Any, kind: str, tensors: bool) -> None:
    x = INPUTS[kind]
    model = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(3)])
    own = nn.Linear(6, 3)
    with torch.no_grad():
        own.weight.copy_(torch.tensor(model.layers[0].get_weights()[0].T))
        own.bias.zero_()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    options = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0}
    expected = model.fit(x, CLASSES, **options).history["loss"]
    trainer = Trainer(own, "sgd", "cross_entropy", screen=PlainScreen(out := io.StringIO()))
    given = torch.from_numpy(x) if tensors else x
    assert trainer.fit(given, CLASSES, **options).history["loss"] == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(trainer.predict(given, verbose=0), model.predict(x, verbose=0), rtol=1e-3)
    said = 0 if kind == "float64" and not tensors else 1  # arrays in double precision are read in single precision
    assert out.getvalue().count(f"{kind} converted to float32, values unchanged") == said


LAYERS = {
    "convolution": lambda: nn.Conv2d(3, 2, 3),
    "normalisation": lambda: nn.BatchNorm2d(3),
    "pooling": lambda: nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 2, 1)),
    "layer norm": lambda: nn.LayerNorm(8),
    "dropout": lambda: nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1)),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("options", [{}, {"precision": "bf16"}, {"compile": {"backend": "eager"}}])
def test_photos_as_bytes_equal_the_same_photos_as_floats(layer: str, options: dict[str, Any]) -> None:
    """To the bit, with dropout: the attempt that failed drew no random number and moved no statistics."""
    x = DRAW.integers(0, 255, (20, 3, 8, 8)).astype(np.uint8)
    found = []
    for given in (x, x.astype(np.float32)):
        torch.manual_seed(0)
        net = nn.Sequential(LAYERS[layer](), nn.Flatten(), nn.LazyLinear(3))
        net(torch.zeros(2, 3, 8, 8))
        trainer = Trainer(net, "sgd", "cross_entropy", learning_rate=1e-5, **options)
        torch.manual_seed(1)
        history = trainer.fit(given, CLASSES[:20], epochs=2, verbose=0, validation_split=0.2).history
        found.append((history, [value.tolist() for value in net.state_dict().values()]))
    assert found[0] == found[1]


class Both(nn.Module):
    """Takes indices of an embedding and a photo."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.photo = nn.Embedding(9, 4), nn.Linear(6, 4)
        self.out = nn.Linear(8, 3)

    def forward(self, rows: Tensor, photo: Tensor) -> Tensor:
        return self.out(torch.cat([self.table(rows), self.photo(photo)], 1))


@pytest.mark.parametrize("kind", ["uint8", "float64", "float16"])
def test_row_numbers_stay_whole_beside_a_photo_that_is_converted(kind: str) -> None:
    rows = DRAW.integers(0, 9, 40)
    torch.manual_seed(0)
    trainer = Trainer(Both(), "sgd", "cross_entropy")
    found = trainer.predict((rows, torch.from_numpy(INPUTS[kind])), verbose=0)
    expected = trainer.module(torch.from_numpy(rows), torch.from_numpy(INPUTS[kind]).float())
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64])
def test_an_embedding_takes_whole_numbers_of_any_format(dtype: Any) -> None:
    rows = DRAW.integers(0, 9, (40, 2))
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(8, 3))
    expected = net(torch.from_numpy(rows)).detach().numpy()
    trainer = Trainer(net, "sgd", "cross_entropy")
    found = trainer.predict(rows.astype(dtype), verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)  # the last bit depends on the batch
    trainer.fit(rows.astype(dtype), CLASSES, verbose=0)


def test_what_no_format_helps_keeps_torchs_error() -> None:
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(8, 3))
    with pytest.raises(RuntimeError, match="indices"):
        Trainer(net, "sgd", "cross_entropy").fit(DRAW.normal(size=(40, 2)), CLASSES, verbose=0)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        Trainer(nn.Linear(5, 3), "sgd", "cross_entropy").fit(INPUTS["uint8"], CLASSES, verbose=0)


def test_a_module_that_converts_by_itself_gets_bytes() -> None:
    seen: list[torch.dtype] = []

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.dtype)
            return self.out(x / 255)

    Trainer(Scaled(), "sgd", "cross_entropy").fit(INPUTS["uint8"], CLASSES, verbose=0)
    assert seen == [torch.uint8] * 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_modules_of_other_formats(dtype: torch.dtype) -> None:
    net = nn.Linear(6, 3).to(dtype)
    x = INPUTS["float16"].astype(np.float32)
    expected = net(torch.from_numpy(x).to(dtype)).detach().float().numpy()
    trainer = Trainer(net, "sgd", "mse")
    np.testing.assert_allclose(trainer.predict(x, verbose=0), expected)
    trainer.fit(x, x[:, :3], verbose=0)


def test_a_module_that_changes_its_format_between_two_fits() -> None:
    x, y = torch.randn(20, 3), torch.randn(20, 1)
    net = nn.Linear(3, 1)
    trainer = Trainer(net, "sgd", "mse", screen=QuietScreen())
    trainer.fit(x, y, verbose=0)
    net.double()
    before = float(nn.functional.mse_loss(net(x.double()), y.double()))
    assert trainer.evaluate(x, y, verbose=0) == pytest.approx(before, rel=1e-6)
    assert trainer.fit(x, y, epochs=2, verbose=0).history["loss"][0] == pytest.approx(before, rel=0.5)
