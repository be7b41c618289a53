"""All that `fit` reads: arrays, data sets, loaders, generators and batch sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from regraft.callbacks import EarlyStopping, LambdaCallback
from regraft.errors import TrainingError
from regraft.training import Trainer
from regraft.training.batches.batches import ArrayBatches, DatasetBatches


def trainer(seed: int = 0) -> Trainer:
    torch.manual_seed(0)
    return Trainer(nn.Linear(8, 3), "sgd", "cross_entropy", ["accuracy"], learning_rate=0.1, seed=seed)


class Source:
    """A batch source of one's own."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches
        self.asked: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        self.asked.append((epoch, start))
        yield from self.batches[start:]


class Stream(IterableDataset[Any]):
    def __init__(self, data: Any) -> None:
        self.data = data

    def __iter__(self) -> Iterator[Any]:
        yield from zip(*self.data, strict=True)


def kinds(points: Any) -> dict[str, Any]:
    x, y = points
    batches = list(zip(x.split(32), y.split(32), strict=True))
    return {
        "tensors": (x, y),
        "arrays": (x.numpy(), y.numpy()),
        "float64 and int32": (x.numpy().astype("float64"), y.numpy().astype("int32")),
        "data set": (TensorDataset(x, y), None),
        "loader": (DataLoader(TensorDataset(x, y), batch_size=32), None),
        "iterable data set": (Stream((x, y)), None),
        "list of batches": (batches, None),
        "batches of arrays": ([(a.numpy(), b.numpy()) for a, b in batches], None),
        "generator": ((batch for _ in range(3) for batch in batches), None),
        "source": (Source(batches), None),
    }


@pytest.mark.parametrize("kind", kinds((torch.zeros(1, 8), torch.zeros(1))))
def test_every_kind_of_data_gives_the_same_history(points: Any, kind: str) -> None:
    x, y = kinds(points)[kind]
    steps = 7 if kind == "generator" else None
    expected = trainer().fit(*points, epochs=3, verbose=0, shuffle=False).history
    found = trainer().fit(x, y, epochs=3, verbose=0, shuffle=False, steps_per_epoch=steps).history
    assert found == expected
    if kind != "generator":
        assert trainer().evaluate(x, y, verbose=0) == pytest.approx(trainer().evaluate(*points, verbose=0))
        np.testing.assert_allclose(trainer().predict(x, verbose=0), trainer().predict(points[0], verbose=0))


def test_a_source_is_asked_for_each_epoch(points: Any) -> None:
    source = Source(list(zip(points[0].split(50), points[1].split(50), strict=True)))
    trainer().fit(source, epochs=3, verbose=0, validation_data=source)
    assert source.asked == [(0, 0), (0, 0), (1, 0), (0, 0), (2, 0), (0, 0)]


def test_the_order_of_samples_depends_on_seed_and_epoch_alone(points: Any) -> None:
    x = torch.arange(100)

    def order(seed: int, epoch: int, shuffle: Any = True) -> list[int]:
        source = ArrayBatches((x, None, None), batch_size=30, shuffle=shuffle, seed=seed)
        return torch.cat([batch[0] for batch in source.epoch(epoch)]).tolist()

    assert order(0, 0) == order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    assert sorted(order(3, 5)) == list(range(100))
    inside = order(0, 0, "batch")
    assert [sorted(inside[i : i + 30]) for i in (0, 30, 60)] == [list(range(i, i + 30)) for i in (0, 30, 60)]
    assert inside != sorted(inside)


def test_validation_data_in_all_forms(points: Any) -> None:
    x, y = points
    ones = torch.ones(len(x))
    forms = [(x, y), [x, y], [x.numpy(), y.numpy()], (x, y, ones), TensorDataset(x, y), [(x, y)]]
    losses = [trainer().fit(x, y, verbose=0, validation_data=form).history["val_loss"] for form in forms]
    assert all(loss == pytest.approx(losses[0]) for loss in losses)


@pytest.mark.parametrize("shuffle", [False, True, "batch"])
@pytest.mark.parametrize("kind", [ArrayBatches, DatasetBatches])
def test_an_epoch_can_begin_at_any_batch(points: Any, shuffle: Any, kind: Any) -> None:
    data = (*points, None) if kind is ArrayBatches else TensorDataset(*points)
    source = kind(data, batch_size=32, shuffle=shuffle, seed=3)
    whole = list(source.epoch(4))
    assert len(whole) == len(source) == 7
    for start in range(8):
        rest = list(source.epoch(4, start))
        assert len(rest) == 7 - start
        for one, other in zip(rest, whole[start:], strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])


def test_a_data_set_brings_its_own_validation(points: Any) -> None:
    data = TensorDataset(*points)
    data.validation = TensorDataset(*points)  # type: ignore[attr-defined]
    history = trainer().fit(data, verbose=0).history
    assert {"val_loss", "val_accuracy"} <= set(history)


def test_a_data_set_can_make_its_own_batches(points: Any) -> None:
    class Own(Dataset[Any]):
        def __len__(self) -> int:
            return len(points[0])

        def batches(self, *, batch_size: int, shuffle: bool) -> Source:
            return Source(list(zip(points[0].split(batch_size), points[1].split(batch_size), strict=True)))

    assert trainer().fit(Own(), verbose=0, batch_size=50).history["loss"]


def test_validation_split_takes_the_last_samples_of_a_data_set(points: Any) -> None:
    arrays = trainer().fit(*points, verbose=0, validation_split=0.3, shuffle=False).history
    data = trainer().fit(TensorDataset(*points), verbose=0, validation_split=0.3, shuffle=False).history
    assert data == arrays


def test_several_inputs_are_arguments_and_named_ones_keywords(points: Any) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(8, 3), nn.Linear(8, 3)

        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return self.left(left) - self.right(right)

    x, y = points
    losses = []
    for given in ((x, 2 * x), [x.numpy(), 2 * x.numpy()], {"right": 2 * x, "left": x}):
        torch.manual_seed(0)
        own = Trainer(Two(), "sgd", "cross_entropy")
        losses.append(own.fit(given, y, epochs=2, verbose=0).history["loss"])
        assert own.predict(given, verbose=0).shape == (200, 3)
    assert losses[0] == losses[1] == losses[2]


def test_batches_bring_weights(points: Any) -> None:
    x, y = points
    weight = torch.linspace(0, 2, 200)
    batches = list(zip(x.split(32), y.split(32), weight.split(32), strict=True))
    one = trainer().fit(batches, verbose=0).history
    other = trainer().fit(x, y, sample_weight=weight, shuffle=False, verbose=0).history
    assert one == other


def test_class_and_sample_weights_are_multiplied(points: Any) -> None:
    x, y = points
    weight = torch.linspace(0, 2, 200)
    one = trainer().fit(x, y, sample_weight=weight, class_weight={1: 3.0}, shuffle=False, verbose=0).history
    both = weight * torch.where(y == 1, 3.0, 1.0)
    assert one == trainer().fit(x, y, sample_weight=both, shuffle=False, verbose=0).history
    one_hot = nn.functional.one_hot(y, 3).float()
    hot = trainer().fit(x, one_hot, sample_weight=weight, class_weight={1: 3.0}, shuffle=False, verbose=0).history
    assert hot["loss"] == pytest.approx(one["loss"])


def test_steps_per_epoch_goes_on_where_the_last_epoch_ended(points: Any) -> None:
    seen: list[int] = []
    numbers = [(torch.full((1, 8), float(i)), torch.zeros(1, dtype=torch.long)) for i in range(5)]
    callback = LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(int(own.batch[0][0, 0])))
    own = trainer()
    own.fit(numbers[:4], epochs=3, steps_per_epoch=2, verbose=0, callbacks=[callback])
    assert seen == [0, 1, 2, 3, 0, 1]
    seen.clear()
    own.fit(iter(numbers), epochs=2, steps_per_epoch=2, verbose=0, callbacks=[callback])
    assert seen == [0, 1, 2, 3]


def test_a_generator_that_is_used_up_is_told_apart_from_an_epoch_without_batches(points: Any) -> None:
    batches = list(zip(points[0].split(50), points[1].split(50), strict=True))
    own = trainer()
    before = own.get_weights()
    with pytest.raises(
        TrainingError, match="x is a generator, which is read once, but fit has 2 epochs: pass steps_per"
    ):
        own.fit(iter(batches), epochs=2, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, own.get_weights(), strict=True))
    with pytest.raises(TrainingError, match="no batch for epoch 2"):
        trainer().fit(iter(batches), epochs=2, steps_per_epoch=4, verbose=0)
    with pytest.warns(RuntimeWarning, match="ran out after 1 of the 3 steps"):
        trainer().fit(iter(batches), epochs=2, steps_per_epoch=3, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": 3}, "x is a int; expected tensors"),
        ({"x": None}, "x is a NoneType; expected tensors"),
        ({"x": "photos"}, "x is a str"),
        ({"x": torch.zeros(3, 8), "y": torch.zeros(4)}, "different lengths: x has 3, y has 4$"),
        ({"x": TensorDataset(torch.zeros(3)), "y": torch.zeros(3)}, "y is given, but x is a TensorDataset"),
        ({"x": torch.zeros(3, 8), "y": torch.zeros(3), "validation_split": 1.5}, "validation_split is 1.5"),
        ({"x": torch.zeros(3, 8), "y": torch.zeros(3), "validation_split": 0.01}, None),
        ({"x": torch.zeros(1, 8), "y": torch.zeros(1), "validation_split": 0.5}, "one part would be empty"),
        ({"x": iter([]), "validation_split": 0.5}, "splits arrays and data sets of samples, not a list_iterator"),
        ({"x": torch.zeros(3, 8), "y": torch.zeros(3).long(), "validation_data": 3}, "x is a int"),
    ],
)
def test_wrong_data_is_named_before_the_first_step(arguments: dict[str, Any], message: str | None) -> None:
    if message is None:
        history = trainer().fit(arguments["x"], arguments["y"].long(), validation_split=0.01, verbose=0).history
        assert "val_loss" in history
        return
    own = trainer()
    before = own.get_weights()
    with pytest.raises(TrainingError, match=message):
        own.fit(**arguments, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, own.get_weights(), strict=True))


def test_a_callback_that_needs_validation_is_told_before_the_first_step(points: Any) -> None:
    own = trainer()
    before = own.get_weights()
    with pytest.raises(TrainingError, match=r"EarlyStopping monitors 'val_loss'\n  add validation_data"):
        own.fit(*points, verbose=0, callbacks=[EarlyStopping()])
    assert all(np.array_equal(a, b) for a, b in zip(before, own.get_weights(), strict=True))
