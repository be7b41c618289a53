"""``accuracy`` over shapes and losses, against Keras where Keras counts what its name says, and by hand elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from regraft.errors import TrainingError
from regraft.training import Trainer

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

DRAW = np.random.default_rng(1)
ONE = DRAW.random((40, 1)).astype("float32")
YES = (ONE + 0.3 * DRAW.normal(size=ONE.shape) > 0.5).astype("float32")
FOUR = DRAW.dirichlet(np.ones(4), 40).astype("float32")
NUMBERS = np.where(DRAW.random(40) < 0.5, FOUR.argmax(1), DRAW.integers(0, 4, 40))
HOT = np.eye(4, dtype="float32")[NUMBERS]
LABELS = np.concatenate([(DRAW.random((39, 4)) < 0.5), [[True] * 4]]).astype("float32")
MAP = DRAW.dirichlet(np.ones(3), (6, 5, 4)).astype("float32")  # (n, h, w, classes)
PIXELS = np.where(DRAW.random((6, 5, 4)) < 0.5, MAP.argmax(-1), DRAW.integers(0, 3, (6, 5, 4)))
MASK = DRAW.random((6, 5, 4, 1)).astype("float32")
INSIDE = (MASK + 0.3 * DRAW.normal(size=MASK.shape) > 0.5).astype("float32")


def accuracy(output: Any, target: Any, loss: Any, name: str = "accuracy", **options: Any) -> float:
    trainer = Trainer(nn.Identity(), None, loss, [name])
    logs = trainer.evaluate(np.ascontiguousarray(output), np.ascontiguousarray(target), batch_size=16, verbose=0,
                            return_dict=True, **options)  # fmt: skip
    return float(logs[name])


def of_keras(keras: Any, output: Any, target: Any, loss: Any, name: str = "accuracy") -> float:
    model = keras.Sequential([keras.Input(output.shape[1:]), keras.layers.Identity()])
    model.compile(loss=loss, metrics=[name])
    return float(model.evaluate(output, target, batch_size=16, verbose=0, return_dict=True)[name])


@pytest.mark.parametrize("name", ["accuracy", "acc", "Accuracy"])
@pytest.mark.parametrize(
    ("output", "target", "loss"),
    [
        (ONE, YES, "binary_crossentropy"), (ONE, YES[:, 0], "binary_crossentropy"), (ONE, YES.astype("int64"), "mse"),
        (FOUR, NUMBERS, "sparse_categorical_crossentropy"), (FOUR, NUMBERS[:, None], "sparse_categorical_crossentropy"),
        (FOUR, NUMBERS.astype("float32"), "sparse_categorical_crossentropy"),
        (FOUR, HOT, "categorical_crossentropy"), (FOUR, HOT, "mse"), (FOUR, HOT, "binary_crossentropy"),
        (FOUR, HOT * 0.8 + 0.05, "categorical_crossentropy"),
        (MAP, PIXELS, "sparse_categorical_crossentropy"), (MAP, PIXELS[..., None], "sparse_categorical_crossentropy"),
        (MAP, np.eye(3, dtype="float32")[PIXELS], "categorical_crossentropy"),
        (MASK, INSIDE, "binary_crossentropy"), (MASK, INSIDE[..., 0], "binary_crossentropy"),
    ],
)  # fmt: skip
def test_as_keras(keras: Any, output: Any, target: Any, loss: str, name: str) -> None:
    expected = of_keras(keras, output, target, loss, name)
    assert accuracy(output, target, loss, name) == pytest.approx(expected, abs=1e-6)
    assert 0.2 < expected < 0.95


@pytest.mark.parametrize(
    ("output", "target", "loss"),
    [
        (ONE, YES, "bce_with_logits"), (ONE, YES[:, 0], "bce_with_logits"), (ONE[:, 0], YES[:, 0], "bce_with_logits"),
        (ONE, YES[:, 0].astype("int64"), nn.BCEWithLogitsLoss()),
        (ONE, YES, functional.binary_cross_entropy_with_logits),
        (MASK.transpose(0, 3, 1, 2), INSIDE.transpose(0, 3, 1, 2), "bce_with_logits"),
        (MASK.transpose(0, 3, 1, 2), INSIDE[..., 0], "bce_with_logits"),
        (MASK[..., 0], INSIDE[..., 0], "bce_with_logits"),
        (FOUR, LABELS, "bce_with_logits"), (FOUR, LABELS.astype("int64"), nn.BCEWithLogitsLoss()),
    ],
)  # fmt: skip
def test_yes_or_no_answers_of_logits_are_split_at_0(output: Any, target: Any, loss: Any) -> None:
    logits = output - 0.5  # in -0.5 to 0.5: none is above 0.5
    expected = np.mean((output > 0.5) == (target.reshape(output.shape) > 0.5))
    for name in ("accuracy", "binary_accuracy"):
        assert accuracy(logits, target, loss, name) == pytest.approx(expected, abs=1e-6)


def test_several_labels_are_counted_one_by_one(keras: Any) -> None:
    for name in ("accuracy", "binary_accuracy", "BinaryAccuracy"):
        assert accuracy(FOUR, LABELS, "binary_crossentropy", name) == pytest.approx(
            np.mean((FOUR > 0.5) == (LABELS > 0.5))
        )
    assert of_keras(keras, FOUR, LABELS, "binary_crossentropy", "binary_accuracy") == pytest.approx(
        accuracy(FOUR, LABELS, "binary_crossentropy")
    )
    logits = np.array([[3, 2, -1], [-2, 1, 4]], "float32")
    assert accuracy(logits, np.array([[1, 1, 0], [0, 1, 1]], "float32"), "bce_with_logits") == 1.0


def test_targets_are_several_labels_as_soon_as_one_sample_has_them() -> None:
    late = np.concatenate([HOT, LABELS[-1:]])  # only the last sample, in another batch, has several
    outputs = np.concatenate([FOUR, FOUR[:1]])
    assert accuracy(outputs, late, "binary_crossentropy") == pytest.approx(np.mean((outputs > 0.5) == (late > 0.5)))
    trainer = Trainer(nn.Identity(), None, "binary_crossentropy", ["accuracy"])
    assert trainer.evaluate(outputs, late, verbose=0)[1] != trainer.evaluate(FOUR, HOT, verbose=0)[1]
    assert trainer.evaluate(FOUR, HOT, verbose=0)[1] == pytest.approx(np.mean(FOUR.argmax(1) == NUMBERS))


def test_weighted_labels_and_state() -> None:
    weight = np.linspace(0, 2, 40).astype("float32")
    trainer = Trainer(nn.Identity(), None, "binary_crossentropy", weighted_metrics=["accuracy"])
    found = trainer.evaluate(FOUR, LABELS, sample_weight=weight, batch_size=16, verbose=0)[1]
    assert found == pytest.approx(np.average(np.mean((FOUR > 0.5) == (LABELS > 0.5), 1), weights=weight))
    first, second = trainer.new_meter(), trainer.new_meter()
    parts = [
        tuple(torch.from_numpy(one[part]) for one in (FOUR, LABELS, weight)) for part in (slice(0, 20), slice(20, 40))
    ]
    first.update(torch.tensor(0.0), [], 20, *parts[0])
    second.load_state_dict(first.state_dict())
    second.update(torch.tensor(0.0), [], 20, *parts[1])
    assert second.logs()["accuracy"] == pytest.approx(found)


@pytest.mark.parametrize("size", [3, 4])
def test_the_classes_of_a_map_are_where_the_loss_has_them(size: int) -> None:
    """(n, classes, h, w) for torch's losses, (n, h, w, classes) for Keras's, also where all have one size."""
    last = DRAW.dirichlet(np.ones(3), (6, 3, size)).astype("float32")
    numbers = DRAW.integers(0, 3, (6, 3, size))
    expected = np.mean(last.argmax(-1) == numbers)
    first = np.moveaxis(last, -1, 1)
    hot = np.eye(3, dtype="float32")[numbers]
    assert accuracy(last, numbers, "sparse_categorical_crossentropy") == pytest.approx(expected)
    assert accuracy(last, hot, "categorical_crossentropy") == pytest.approx(expected)
    for loss in (
        "cross_entropy",
        nn.CrossEntropyLoss(),
        lambda output, target: functional.cross_entropy(output, target).clone(),
    ):
        assert accuracy(np.log(first), numbers, loss) == pytest.approx(expected)
        assert accuracy(np.log(first), np.moveaxis(hot, -1, 1), loss) == pytest.approx(expected)
    for name in ("sparse_categorical_accuracy", "SparseTopKCategoricalAccuracy", "f1_score"):
        found = Trainer(nn.Identity(), None, "cross_entropy", [name]).evaluate(np.log(first), numbers, verbose=0)[1]
        keras = Trainer(nn.Identity(), None, "sparse_categorical_crossentropy", [name]).evaluate(
            last, numbers, verbose=0
        )[1]
        np.testing.assert_allclose(found, keras)


def test_class_numbers_are_no_yes_or_no_answers() -> None:
    with pytest.raises(TrainingError, match=r"binary predictions need a target each; found outputs of shape \(16, 4\)"):
        accuracy(FOUR, NUMBERS, "sparse_categorical_crossentropy", "binary_accuracy")


def test_functions_with_one_number_for_a_batch_are_weighted_by_it() -> None:
    def rate(y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ((y_pred > 0.5) == (y_true > 0.5)).float().mean()

    weight = np.linspace(0, 2, 40).astype("float32")
    parts = [slice(0, 16), slice(16, 32), slice(32, 40)]
    rates = [np.mean((ONE[part] > 0.5) == (YES[part] > 0.5)) for part in parts]
    trainer = Trainer(nn.Identity(), None, "mse", weighted_metrics=[rate])
    found = trainer.evaluate(ONE, YES, sample_weight=weight, batch_size=16, verbose=0, return_dict=True)["rate"]
    assert found == pytest.approx(np.average(rates, weights=[weight[part].sum() for part in parts]))
