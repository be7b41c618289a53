"""Losses and metrics by name and by object, for one output and for several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from regraft.callbacks import EarlyStopping
from regraft.errors import TrainingError
from regraft.training import Trainer


class Heads(nn.Module):
    """Two outputs: classes (n, 3) and a value (n, 1)."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.classes, self.value = kind, nn.Linear(8, 3), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Any:
        found = self.classes(x), self.value(x)
        return {"class": found[0], "value": found[1]} if self.kind == "dict" else found


@pytest.mark.parametrize("kind", ["tuple", "dict"])
def test_several_outputs(points: Any, kind: str) -> None:
    x, y = points
    names = ("class", "value") if kind == "dict" else ("output_0", "output_1")
    targets: Any = dict(zip(names, (y, x[:, 0]), strict=True)) if kind == "dict" else (y, x[:, 0])
    loss: Any = {"class": "cross_entropy", "value": "mse"} if kind == "dict" else ["cross_entropy", "mse"]
    weights: Any = {"value": 0.5} if kind == "dict" else [1.0, 0.5]
    trainer = Trainer(
        Heads(kind), "sgd", loss, {names[0]: ["accuracy"], names[1]: "mae"}, loss_weights=weights, learning_rate=0.1
    )
    history = trainer.fit(x, targets, epochs=2, verbose=0, validation_split=0.2).history
    figures = ["loss", f"{names[0]}_loss", f"{names[1]}_loss", f"{names[0]}_accuracy", f"{names[1]}_mae"]
    assert list(history) == [*figures, *(f"val_{name}" for name in figures)]
    for i in (0, 1):
        total = history[figures[1]][i] + 0.5 * history[figures[2]][i]
        assert history["loss"][i] == pytest.approx(total)
    found = trainer.predict(x, verbose=0)
    parts = list(found.values()) if kind == "dict" else found
    assert [part.shape for part in parts] == [(200, 3), (200, 1)]


def test_metrics_as_a_list_for_each_output(points: Any) -> None:
    x, y = points
    trainer = Trainer(Heads("tuple"), "sgd", ["cross_entropy", "mse"], [["accuracy"], ["mae", "mse"]])
    figures = trainer.evaluate(x, (y, x[:, 0]), verbose=0, return_dict=True)
    assert list(figures)[3:] == ["output_0_accuracy", "output_1_mae", "output_1_mse"]
    assert figures["output_1_mse"] == pytest.approx(figures["output_1_loss"])
    trainer = Trainer(Heads("tuple"), "sgd", ["cross_entropy", "mse"], [None, ["mae"]])
    assert list(trainer.evaluate(x, (y, x[:, 0]), verbose=0, return_dict=True))[3:] == ["output_1_mae"]


@pytest.mark.parametrize("weights", [{"class": 1.0, "valeu": 9.0}, [1.0, 9.0, 9.0]])
def test_factors_that_no_output_has_are_refused(points: Any, weights: Any) -> None:
    x, y = points
    trainer = Trainer(Heads("dict"), "sgd", {"class": "cross_entropy", "value": "mse"}, loss_weights=weights)
    with pytest.raises(
        TrainingError, match=r"loss_weights has .*, but the outputs of the module are \['class', 'value'"
    ):
        trainer.fit(x, {"class": y, "value": x[:, 0]}, verbose=0)


def test_one_string_is_the_loss_of_every_output_and_a_function_is_handed_all(points: Any) -> None:
    x, _ = points

    def both(outputs: Any, targets: Any) -> Tensor:
        return sum((o - t).square().mean() for o, t in zip(outputs, targets, strict=True))

    targets = (x[:, :3], x[:, :1])
    one = Trainer(Heads("tuple"), "sgd", "mse").evaluate(x, targets, verbose=0, return_dict=True)
    other = Trainer(Heads("tuple"), "sgd", both).evaluate(x, targets, verbose=0)
    assert set(one) == {"loss", "output_0_loss", "output_1_loss"}
    assert one["loss"] == pytest.approx(other)


@pytest.mark.parametrize(
    ("outputs", "loss", "targets", "message"),
    [
        ("dict", "mse", {"class": 0}, "no target for the output 'value'. There are: class"),
        ("tuple", "mse", (0,), "only 1 targets"),
        ("tuple", "mse", 0, "several outputs, but there is one target, a Tensor"),
        ("tuple", [None, None], (0, 0), "no output of the module has a loss"),
    ],
)
def test_targets_that_do_not_match_the_outputs(
    points: Any, outputs: str, loss: Any, targets: Any, message: str
) -> None:
    x, _ = points
    zeros = torch.zeros(200, 3)
    given = dict.fromkeys(targets, zeros) if isinstance(targets, dict) else zeros
    if isinstance(targets, tuple):
        given = tuple(zeros for _ in targets)
    with pytest.raises(TrainingError, match=message):
        Trainer(Heads(outputs), "sgd", loss).fit(x, given, verbose=0)


def linear(outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(8, outputs)


@pytest.mark.parametrize(
    ("loss", "weighted"),
    [
        ("cross_entropy", True),
        (nn.CrossEntropyLoss(), True),
        (nn.functional.cross_entropy, True),
        (nn.CrossEntropyLoss(reduction="sum"), True),
        (lambda output, target: nn.functional.cross_entropy(output, target, reduction="none"), True),
        (lambda output, target: nn.functional.cross_entropy(output, target).clone(), False),
    ],
)
def test_the_same_loss_in_all_forms(points: Any, loss: Any, weighted: bool) -> None:
    x, y = points
    trainer = Trainer(linear(), "sgd", loss)
    sums = getattr(loss, "reduction", "") == "sum"
    expected = nn.functional.cross_entropy(trainer.module(x), y, reduction="none").detach()
    factor = 200 if sums else 1
    assert trainer.evaluate(x, y, batch_size=200, verbose=0) == pytest.approx(float(expected.mean()) * factor, rel=1e-5)
    weight = torch.linspace(0, 2, 200)
    if weighted:
        found = trainer.evaluate(x, y, batch_size=200, verbose=0, sample_weight=weight)
        assert found == pytest.approx(float((expected * weight).mean()) * factor, rel=1e-5)
    else:
        with pytest.raises(TrainingError, match="samples cannot be weighted"):
            trainer.evaluate(x, y, verbose=0, sample_weight=weight)


def test_integer_targets_of_any_type_suit_losses_on_logits(points: Any) -> None:
    x, y = points
    expected = Trainer(linear(), None, "cross_entropy").evaluate(x, y, verbose=0)
    for given in (y.int(), y.to(torch.uint8), y.numpy().astype("int16"), y[:, None]):
        assert Trainer(linear(), None, "cross_entropy").evaluate(x, given, verbose=0) == expected
    binary = Trainer(linear(1), None, "bce_with_logits", ["accuracy"]).evaluate(x, (y > 0).long(), verbose=0)
    hits = (linear(1)(x)[:, 0] > 0) == (y > 0)
    assert binary[1] == pytest.approx(float(hits.float().mean()))


def test_losses_on_probabilities_refuse_logits(points: Any) -> None:
    with pytest.raises(TrainingError, match="takes probabilities, but the module returns values outside 0 to 1"):
        Trainer(linear(), "sgd", "sparse_categorical_crossentropy").fit(*points, verbose=0)
    soft = nn.Sequential(linear(), nn.Softmax(-1))
    one = Trainer(soft, "sgd", "sparse_categorical_crossentropy").evaluate(*points, verbose=0)
    assert one == pytest.approx(Trainer(linear(), "sgd", "cross_entropy").evaluate(*points, verbose=0), rel=1e-4)


def test_metrics_in_all_forms(points: Any, torchmetrics: Any) -> None:
    x, y = points

    def error_rate(output: Tensor, target: Tensor) -> Tensor:
        return output.argmax(1) != target

    metrics = [
        "accuracy", "sparse_top_k_categorical_accuracy",
        ("top_2", torchmetrics.Accuracy("multiclass", num_classes=3, top_k=2)),
        torchmetrics.classification.MulticlassF1Score(3), error_rate,
    ]  # fmt: skip
    trainer = Trainer(linear(), "sgd", "cross_entropy", metrics)
    history = trainer.fit(x, y, epochs=2, verbose=0, validation_split=0.5, shuffle=False).history
    assert list(history)[:6] == [
        "loss", "accuracy", "sparse_top_k_categorical_accuracy", "top_2", "multiclass_f1_score", "error_rate"
    ]  # fmt: skip
    assert history["error_rate"][0] == pytest.approx(1 - history["accuracy"][0])
    assert history["sparse_top_k_categorical_accuracy"] == [1.0, 1.0]
    output = torch.from_numpy(trainer.predict(x[100:], verbose=0))
    expected = torchmetrics.functional.classification.multiclass_f1_score(output, y[100:], 3)
    assert history["val_multiclass_f1_score"][-1] == pytest.approx(float(expected))


def test_torchmetrics_direction_is_known(points: Any, torchmetrics: Any) -> None:
    metric = torchmetrics.classification.MulticlassAUROC(3)
    trainer = Trainer(linear(), "sgd", "cross_entropy", [metric])
    trainer.fit(*points, epochs=2, verbose=0, validation_split=0.5, callbacks=[EarlyStopping("val_multiclass_auroc")])
    with pytest.raises(TrainingError, match="lower or a higher 'val_novel' is better; pass mode='min'"):
        trainer.fit(*points, verbose=0, validation_split=0.5, callbacks=[EarlyStopping("val_novel")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "adamm"}, "no optimizer is called 'adamm'; did you mean 'adam'"),
        ({"optimizer": 3}, "optimizer is a int"),
        ({"optimizer": lambda p: None}, "returned a NoneType, not a torch optimizer"),
        ({"loss": "crossentropy"}, "no loss is called 'crossentropy'\n  choose one: 'cross_entropy' takes logits"),
        ({"loss": "crossentropi"}, r"no loss is called 'crossentropi'; did you mean .*\? There are: cross_entropy, "),
        ({"loss": "x"}, r"no loss is called 'x'\. There are: cross_entropy, "),
        ({"metrics": "x"}, r"no metric is called 'x'\. There are: accuracy, "),
        ({"optimizer": "x"}, r"no optimizer is called 'x'\. There are: sgd, "),
        ({"loss": nn.CrossEntropyLoss}, r"loss is the class CrossEntropyLoss; expected an instance: Cross"),
        ({"loss": 3}, "loss is a int"),
        ({"metrics": ["acuracy"]}, "no metric is called 'acuracy'; did you mean 'accuracy'"),
        ({"metrics": [3]}, "metrics contains 3"),
        ({"metrics": [("loss", "mae")]}, "a metric is called 'loss', the name of the loss in the logs"),
        ({"metrics": [("val_loss", "mae")]}, "a metric is called 'val_loss', the name of figures of the validation"),
        ({"precision": "fp8"}, "precision is 'fp8'; expected"),
        ({"precision": "fp16"}, "'fp16' needs CUDA, and the module is on cpu"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"ema": 1.5}, "ema is 1.5"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Trainer(linear(), **({"optimizer": "sgd", "loss": "cross_entropy"} | arguments))


def test_what_is_missing_is_said(points: Any) -> None:
    with pytest.raises(TrainingError, match="without a loss; pass loss="):
        Trainer(linear(), "sgd").fit(*points, verbose=0)
    with pytest.raises(TrainingError, match="without an optimizer; pass optimizer="):
        Trainer(linear(), loss="cross_entropy").fit(*points, verbose=0)


def test_on_batch(points: Any) -> None:
    x, y = points
    trainer = Trainer(linear(), "sgd", "cross_entropy", ["accuracy"], learning_rate=0.1)
    first = trainer.test_on_batch(x, y)
    assert trainer.train_on_batch(x, y) == first == pytest.approx(trainer.train_on_batch(x, y), rel=0.2)
    assert trainer.test_on_batch(x, y, return_dict=True)["loss"] < first[0]
    assert np.allclose(trainer.predict_on_batch(x), trainer.predict(x, verbose=0), atol=1e-6)
    one = trainer.train_on_batch(x, y, class_weight={0: 0.0, 1: 0.0, 2: 0.0}, return_dict=True)
    assert one["loss"] == 0
