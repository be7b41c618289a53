"""Targets that do not fit the outputs: errors that name both and the way, at the first batch or a later one."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from regraft.errors import TrainingError, did_you_mean
from regraft.training import Trainer

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
NUMBERS = torch.arange(40) % 3


def trainer(outputs: int, loss: Any, *ends: nn.Module) -> Trainer:
    torch.manual_seed(0)
    return Trainer(nn.Sequential(nn.Linear(3, outputs), *ends), "sgd", loss)


def late(values: Any) -> torch.Tensor:
    """Return class numbers that are right in the first batch of 32, and then ``values``."""
    return torch.cat([NUMBERS[:32].to(torch.as_tensor(values).dtype), torch.as_tensor(values).expand(8)])


SPARSE = "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("outputs", "loss", "y", "message"),
    [
        (2, "cross_entropy", NUMBERS, "go from 0 to 1; found targets from 0 to 2\n  give the module 3 outputs"),
        (2, nn.CrossEntropyLoss(), NUMBERS, "has 2 outputs.*found targets from 0 to 2"),
        (2, nn.functional.cross_entropy, NUMBERS, "has 2 outputs.*found targets from 0 to 2"),
        (2, SPARSE, NUMBERS, "has 2 outputs.*found targets from 0 to 2"),
        (3, "cross_entropy", NUMBERS + 1, "has 3 outputs.*found targets from 1 to 3\n  subtract 1 from the class"),
        (3, SPARSE, (NUMBERS + 1)[:, None], "found targets from 1 to 3\n  subtract 1"),
        (3, "cross_entropy", NUMBERS - 1, "found targets from -1 to 1\n  number the classes from 0"),
        (3, SPARSE, NUMBERS - 1, "found targets from -1 to 1"),
        (3, "cross_entropy", late(7), "has 3 outputs, so class numbers go from 0 to 2; found targets from 7 to 7"),
        (3, SPARSE, late(7), "found targets from 7 to 7"),
        (3, nn.NLLLoss(), NUMBERS + 3, "found targets from 3 to 5"),
        (3, "cross_entropy", NUMBERS + 0.5, "class numbers; found 0.5, which is not a whole number\n  for values use"),
        (3, "cross_entropy", torch.where(NUMBERS == 1, torch.nan, NUMBERS), "contain NaN"),
        (1, "cross_entropy", NUMBERS > 0, "outputs of several classes, and the module has 1 output\n  use loss='bce"),
        (1, SPARSE, NUMBERS > 0, "the module has 1 output"),
        (3, "bce_with_logits", NUMBERS, r"shape \(32, 3\) and targets of shape \(32,\)\n  for class numbers use"),
        (1, "bce_with_logits", NUMBERS, "between 0 and 1; found 0 to 2\n  for the numbers of several classes"),
        (1, nn.BCEWithLogitsLoss(), NUMBERS[:, None], "takes targets between 0 and 1; found 0 to 2"),
        (1, "bce_with_logits", (NUMBERS > 0) * 2 - 1, r"found -1 to 1\n  turn -1 and 1 into 0 and 1: \(y \+ 1\) / 2"),
        (3, "mse", NUMBERS, r"the loss mse compares outputs and targets one by one; found outputs of shape \(32, 3\)"),
        (40, "mse", NUMBERS, "compares outputs and targets one by one"),
        (3, "mse_loss", torch.zeros(40, 2), r"outputs of shape \(32, 3\) and targets of shape \(32, 2\)$"),
        (3, "mse", None, "the loss mse needs targets, but the data has none"),
        (3, "cross_entropy", torch.zeros(40, 2), r"outputs of shape \(32, 3\) and targets of shape \(32, 2\)"),
    ],
)  # fmt: skip
def test_targets_that_do_not_fit(outputs: int, loss: Any, y: Any, message: str) -> None:
    ends = [nn.Softmax(-1)] if loss == SPARSE else []
    with pytest.raises(TrainingError, match=message):
        trainer(outputs, loss, *ends).fit(X, y, verbose=0, shuffle=False)


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (
            "categorical_crossentropy",
            NUMBERS,
            r"takes one-hot targets; found class numbers of shape \(32,\).*\n  use loss='sparse",
        ),
        ("categorical_focal_crossentropy", NUMBERS[:, None], "takes one-hot targets"),
        ("categorical_hinge", NUMBERS, "takes one-hot targets"),
        (
            SPARSE,
            nn.functional.one_hot(NUMBERS),
            r"takes class numbers; found targets of shape \(32, 3\).*\n  use loss='categorical",
        ),
    ],
)
def test_class_numbers_and_one_hot_targets(loss: str, y: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        trainer(3, loss, nn.Softmax(-1)).fit(X, y, verbose=0)


def test_targets_of_every_type_give_the_same_loss() -> None:
    expected = trainer(3, "cross_entropy").evaluate(X, NUMBERS, verbose=0)
    for y in (NUMBERS.float(), NUMBERS.double()[:, None], NUMBERS.int().numpy(), NUMBERS.to(torch.uint8),
              NUMBERS.tolist(), nn.functional.one_hot(NUMBERS), nn.functional.one_hot(NUMBERS).float()):  # fmt: skip
        assert trainer(3, "cross_entropy").evaluate(X, y, verbose=0) == pytest.approx(expected)
        assert trainer(3, nn.CrossEntropyLoss()).evaluate(X, y, verbose=0) == pytest.approx(expected)
    yes = NUMBERS > 0
    expected = trainer(1, "bce_with_logits").evaluate(X, yes.float()[:, None], verbose=0)
    for y in (yes, yes.float(), yes.int(), yes.tolist(), yes.numpy()[:, None]):
        assert trainer(1, nn.BCEWithLogitsLoss()).evaluate(X, y, verbose=0) == pytest.approx(expected)
        assert trainer(1, "bce", nn.Sigmoid()).evaluate(X, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    for loss in ("mse", "mse_loss", nn.L1Loss(), "huber", "smooth_l1_loss"):  # (n, 1) meets (n,)
        expected = trainer(1, loss).evaluate(X, NUMBERS.float()[:, None], verbose=0)
        for y in (NUMBERS.float(), NUMBERS, NUMBERS.to(torch.uint8)[:, None]):
            assert trainer(1, loss).evaluate(X, y, verbose=0) == pytest.approx(expected)


def test_class_numbers_that_the_loss_skips() -> None:
    y = torch.where(NUMBERS == 2, 255, NUMBERS)
    found = trainer(3, nn.CrossEntropyLoss(ignore_index=255))
    kept = NUMBERS != 2
    expected = nn.functional.cross_entropy(found.module(X)[kept], NUMBERS[kept])
    assert found.evaluate(X, y, batch_size=40, verbose=0) == pytest.approx(expected.item())
    assert trainer(3, "cross_entropy").evaluate(X, torch.where(NUMBERS == 2, -100, NUMBERS), verbose=0) > 0


def test_other_errors_of_a_loss_stay_as_they_are() -> None:
    def broken(output: Any, target: Any) -> Any:
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$") as caught:
        trainer(3, broken).fit(X, NUMBERS, verbose=0)
    assert not isinstance(caught.value, TrainingError)


def test_did_you_mean_ends_the_sentence_whatever_follows() -> None:
    assert did_you_mean("adm", ["adam"]) == "; did you mean 'adam'?"
    assert did_you_mean("x", ["adam"]) == ""
    assert did_you_mean("adm", ["adam", "b"], there_are=["adam", "b"]) == "; did you mean 'adam'? There are: adam, b"
    assert did_you_mean("x", ["adam"], there_are=["adam"]) == ". There are: adam"


def test_optimizers_by_name_keep_their_state(tmp_path: Any) -> None:
    for name in ("lion", "lamb", "muon", "adafactor", "Muon"):
        torch.manual_seed(0)
        whole, part, rest = (Trainer(nn.Linear(3, 3), name, "cross_entropy", learning_rate=0.01) for _ in range(3))
        for one in (part, rest):
            one.module.load_state_dict(whole.module.state_dict())
        whole.fit(X, NUMBERS, epochs=4, verbose=0, shuffle=False)
        part.fit(X, NUMBERS, epochs=2, verbose=0, shuffle=False)
        part.save(tmp_path / "part.safetensors")
        rest.load(tmp_path / "part.safetensors")
        rest.fit(X, NUMBERS, epochs=2, verbose=0, shuffle=False)
        for found, expected in zip(rest.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_table_of_differences_is_warned_about() -> None:
    def own(output: Any, target: Any) -> Any:
        return (output - target).square().mean()

    with pytest.warns(
        RuntimeWarning, match=r"outputs of shape \(32, 1\) and targets of shape \(32,\): torch broadcasts their"
    ):
        trainer(1, own).fit(X, NUMBERS.float(), verbose=0)
    with pytest.warns(RuntimeWarning, match=r"the metric own is a function of your own, which gets outputs of shape"):
        Trainer(nn.Linear(3, 1), "sgd", "mse", [own]).evaluate(X, NUMBERS.float(), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known = [nn.functional.mse_loss, nn.MSELoss()]  # get targets that suit them
        logs = Trainer(nn.Linear(3, 1), "sgd", "mse", known).evaluate(X, NUMBERS, verbose=0)
        assert logs[1:] == pytest.approx([logs[0]] * 2)
        trainer(1, own).fit(X, NUMBERS.float()[:, None], verbose=0)


def test_one_hot_columns_of_booleans_count_as_class_numbers() -> None:
    """`pandas.get_dummies` makes booleans."""
    x, y = torch.randn(12, 4), torch.arange(12) % 3
    metrics = ["accuracy", "top_k_categorical_accuracy", "f1_score"]
    trainer = Trainer(torch.nn.Linear(4, 3), "sgd", "cross_entropy", metrics)
    expected = trainer.evaluate(x, torch.nn.functional.one_hot(y).float(), verbose=0, return_dict=True)
    found = trainer.evaluate(x, torch.nn.functional.one_hot(y).bool(), verbose=0, return_dict=True)
    assert found["accuracy"] == expected["accuracy"] and (found["f1_score"] == expected["f1_score"]).all()
    trainer.fit(x, torch.nn.functional.one_hot(y).bool(), class_weight={1: 2.0}, verbose=0)


def test_a_subclass_of_a_loss_of_torch_takes_class_numbers_of_any_type() -> None:
    class Own(torch.nn.CrossEntropyLoss):
        pass

    x, y = torch.randn(12, 4), torch.arange(12) % 3
    trainer = Trainer(torch.nn.Linear(4, 3), "sgd", Own())
    values = [trainer.evaluate(x, y.to(kind), verbose=0) for kind in (torch.int64, torch.int32, torch.uint8)]
    assert values[0] == values[1] == values[2]
