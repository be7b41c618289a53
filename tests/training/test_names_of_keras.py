"""Metrics and losses by name: every string that Keras takes gives Keras's value, or an error that shows the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from regraft.errors import TrainingError
from regraft.training import Trainer
from regraft.training.losses.loss_names import bare

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::RuntimeWarning")

#: Strings that make nothing in Keras either, or need an argument there.
REFUSED = {
    "Mean", "Sum", "Metric", "MeanMetricWrapper", "mean", "sum", "metric", "mean_metric_wrapper",
    "PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity",
    "precision_at_recall", "recall_at_precision", "sensitivity_at_specificity", "specificity_at_sensitivity",
    "MeanIoU", "IoU", "OneHotIoU", "OneHotMeanIoU", "mean_io_u", "io_u", "one_hot_io_u", "one_hot_mean_io_u",
    "FBetaScore", "f_beta_score",
}  # fmt: skip


def metric_names() -> list[str]:
    keras = pytest.importorskip("keras")
    from keras.src import metrics  # the list behind keras.metrics.get

    assert keras is not None
    return sorted(metrics.ALL_OBJECTS_DICT)


def loss_names() -> list[str]:
    pytest.importorskip("keras")
    from keras.src import losses

    return sorted(name for name in losses.ALL_OBJECTS_DICT if name not in ("Loss", "LossFunctionWrapper"))


def batches(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities, targets and weights of 60 samples."""
    draw = np.random.default_rng(3)
    weight = draw.random(60).astype("float32")
    if kind == "one":
        output = draw.random((60, 1)).astype("float32")
        return output, (output + 0.3 * draw.normal(size=output.shape) > 0.5).astype("float32"), weight
    output = draw.dirichlet(np.ones(6) * 0.5, 60).astype("float32")
    numbers = np.where(draw.random(60) < 0.6, output.argmax(1), draw.integers(0, 6, 60))
    if kind == "numbers":
        return output, numbers.astype("int64"), weight
    if kind == "one-hot":
        return output, np.eye(6, dtype="float32")[numbers], weight
    labels = (draw.random((60, 6)) < 0.5).astype("float32")
    labels[0] = 1
    return draw.random((60, 6)).astype("float32"), labels, weight


def logs_of(model: Any, data: Any, weighted: bool = False) -> dict[str, Any]:
    """Return all figures after batches of 16."""
    x, y, weight = data
    extra = {"sample_weight": weight} if weighted else {}
    logs: dict[str, Any] = model.evaluate(x, y, batch_size=16, verbose=0, return_dict=True, **extra)
    return logs


def figures(model: Any, name: str, data: Any) -> Any:
    """Return the figure called ``name``."""
    return np.asarray(logs_of(model, data)[name])


def keras_model(keras: Any, data: Any, metrics: Any, weighted: Any = None) -> Any:
    model = keras.Sequential([keras.Input(data[0].shape[1:]), keras.layers.Identity()])
    model.compile(loss="mse" if data[1].ndim > 1 else "sparse_categorical_crossentropy", metrics=metrics,
                  weighted_metrics=weighted)  # fmt: skip
    return model


def own(data: Any, metrics: Any, weighted: Any = None) -> Trainer:
    loss = "mse" if data[1].ndim > 1 else "sparse_categorical_crossentropy"
    return Trainer(nn.Identity(), None, loss, metrics, weighted_metrics=weighted)


def suits(name: str) -> list[str]:
    """Return the kinds of data that the metric called ``name`` is made for."""
    short = name.replace("_", "").lower()
    if short.startswith("sparse"):
        return ["numbers"]
    if short.startswith(("categorical", "topk")):
        return ["one-hot"]
    if short in ("pearsoncorrelation", "f1score"):
        return ["one-hot", "several"]
    return ["one", "one-hot", "several"]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["one", "one-hot", "several", "numbers"])
def test_every_string_of_keras_metrics(keras: Any, kind: str, weighted: bool) -> None:
    names = [name for name in metric_names() if name not in REFUSED and kind in suits(name)]
    if weighted:
        names = [name for name in names if bare(name) != "binaryiou"]  # Keras makes whole numbers of its weights
    assert len(names) > (3 if kind == "numbers" else 40)
    data = batches(kind)
    arguments = ([], names) if weighted else (names,)
    expected = logs_of(keras_model(keras, data, *arguments), data, weighted)
    found = logs_of(own(data, *arguments), data, weighted)
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=2e-5, err_msg=name)


def test_strings_that_need_an_argument_show_the_way(keras: Any) -> None:
    assert set(metric_names()) >= REFUSED
    for name in REFUSED:
        with pytest.raises(TrainingError, match=f"no metric is called '{name}'\n  it "):
            Trainer(nn.Identity(), None, "mse", [name])


def test_every_string_of_keras_losses(keras: Any) -> None:
    from regraft.training.losses.losses import as_loss

    names = loss_names()
    assert len(names) > 45
    compared = 0
    for name in names:
        if name in ("ctc", "CTC"):
            with pytest.raises(TrainingError, match=f"no loss is called '{name}'\n  pass a function"):
                as_loss(name)
            continue
        given = keras.losses.get(name)
        wrapped = given if isinstance(given, keras.losses.Loss) else keras.src.losses.losses.LossFunctionWrapper(given)
        for kind in ["numbers"] if name.lower() == "circle" else suits(name):
            output, target, weight = batches(kind)
            if name.lower() == "circle":
                output = output / np.linalg.norm(output, axis=1, keepdims=True)
            scalar = name.lower() in ("dice", "tversky")
            for w in (None, weight)[: 1 if scalar else 2]:
                expected = float(keras.ops.convert_to_numpy(wrapped(target, output, w)))
                tensors = [None if one is None else torch.from_numpy(one) for one in (output, target, w)]
                given_output = tensors[0].requires_grad_()
                loss = as_loss(name)(given_output, *tensors[1:])
                assert float(loss) == pytest.approx(expected, abs=1e-5, rel=1e-5), (name, kind, w is None)
                loss.backward()
                assert given_output.grad.isfinite().all(), name
                compared += 1
    assert compared > 150


@pytest.mark.parametrize("name", ["AUC", "Precision", "Recall", "F1Score", "TruePositives", "binary_accuracy",
                                  "BinaryIoU", "binary_crossentropy"])  # fmt: skip
def test_metrics_of_logits_are_those_of_probabilities(keras: Any, name: str) -> None:
    output, target, _ = batches("several")
    logits = np.log(output / (1 - output)).astype("float32")
    expected = figures(keras_model(keras, (output, target, None), [name]), name, (output, target, None))
    found = figures(Trainer(nn.Identity(), None, "bce_with_logits", [name]), name, (logits, target, None))
    if name == "F1Score":  # Keras takes the largest output for the answer, whatever the loss is
        assert found.shape == (6,)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["AUC", "Precision", "Recall", "categorical_crossentropy", "categorical_accuracy",
                                  "binary_accuracy", "kl_divergence"])  # fmt: skip
def test_metrics_of_softmax_logits_are_those_of_probabilities(keras: Any, name: str) -> None:
    output, target, _ = batches("one-hot")
    logits = (np.log(output) + 3).astype("float32")
    expected = figures(keras_model(keras, (output, target, None), [name]), name, (output, target, None))
    found = figures(Trainer(nn.Identity(), None, "cross_entropy", [name]), name, (logits, target, None))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_two_classes_with_class_numbers_are_one_question() -> None:
    from sklearn import metrics

    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(300, 2, generator=draw)
    y = ((logits[:, 1] - logits[:, 0] + torch.randn(300, generator=draw)) > 0).long()
    names = ["Precision", "Recall", "AUC", "F1Score", "TruePositives", "FalseNegatives"]
    logs = Trainer(nn.Identity(), None, "cross_entropy", names).evaluate(logits, y, verbose=0, return_dict=True)
    answer, score = logits.argmax(1), logits.softmax(1)[:, 1]
    assert logs["Precision"] == pytest.approx(metrics.precision_score(y, answer))
    assert logs["Recall"] == pytest.approx(metrics.recall_score(y, answer))
    assert logs["AUC"] == pytest.approx(metrics.roc_auc_score(y, score), abs=2e-3)  # 200 thresholds
    np.testing.assert_allclose(logs["F1Score"], metrics.f1_score(y, answer, average=None), rtol=1e-6)
    assert logs["TruePositives"] == int(((answer == 1) & (y == 1)).sum())
    assert logs["FalseNegatives"] == int(((answer == 0) & (y == 1)).sum())


def test_more_classes_with_class_numbers() -> None:
    from sklearn import metrics

    output, target, _ = batches("numbers")
    logs = Trainer(nn.Identity(), None, "sparse_categorical_crossentropy", ["f1_score"]).evaluate(
        output, target, verbose=0, return_dict=True
    )
    np.testing.assert_allclose(logs["f1_score"], metrics.f1_score(target, output.argmax(1), average=None), rtol=1e-6)
    for name in ("AUC", "Precision", "recall", "true_positives"):
        with pytest.raises(TrainingError, match=rf"{name} is a metric of binary.*6 outputs\n  pass torchmetrics"):
            Trainer(nn.Identity(), None, "sparse_categorical_crossentropy", [name]).evaluate(output, target, verbose=0)


def test_f1_of_one_output_is_that_of_its_answers() -> None:
    from sklearn import metrics

    output, target, _ = batches("one")
    logs = Trainer(nn.Identity(), None, "bce", ["F1Score"]).evaluate(output, target, verbose=0, return_dict=True)
    assert logs["F1Score"] == pytest.approx(metrics.f1_score(target[:, 0], output[:, 0] > 0.5))


def test_figures_by_name_are_known_to_callbacks_and_kept_in_snapshots() -> None:
    from regraft.training.metrics.metrics import as_metric

    output, target, _ = (torch.from_numpy(one) for one in batches("one"))
    for name, direction in (("AUC", "max"), ("FalsePositives", "min"), ("cosine_similarity", "max"), ("MSE", "min"),
                            ("RootMeanSquaredError", "min"), ("F1Score", "max")):  # fmt: skip
        one, other = as_metric(name), as_metric(name)
        assert (one.direction, one.name) == (direction, name)
        one.update(output[:20], target[:20])
        other.load_state_dict(one.state_dict())
        for metric in (one, other):
            metric.update(output[20:], target[20:])
        values = [metric.figures()[name] for metric in (one, other)]
        first, second = (float(v() if callable(v) else v[0] / v[1]) for v in values)
        assert first == second != 0


def test_logs_of_a_batch_stay_as_they_were() -> None:
    output, target, _ = (torch.from_numpy(one) for one in batches("one"))
    trainer = Trainer(nn.Identity(), None, "bce", ["Precision", "AUC"])
    meter = trainer.new_meter()
    meter.update(torch.tensor(1.0), [], 20, output[:20], target[:20])
    early = meter.logs()
    meter.update(torch.tensor(1.0), [], 40, output[20:], target[20:])
    late = dict(meter.logs())
    only = trainer.evaluate(output[:20], target[:20], verbose=0, return_dict=True)
    assert early["AUC"] == pytest.approx(only["AUC"])
    assert early["AUC"] != late["AUC"]
