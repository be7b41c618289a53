"""Objects and functions of Keras, of its users and of other libraries, as metrics and losses."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from regraft.callbacks import EarlyStopping, LambdaCallback
from regraft.errors import TrainingError
from regraft.training import Trainer
from regraft.training.losses.losses import as_loss
from regraft.training.metrics.metrics import as_metric
from regraft.training.third_party import takes_target_first

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::SyntaxWarning")


def data(kind: str = "binary") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x (40, 3), targets and weights."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(40, 3)).astype("float32")
    weight = draw.random(40).astype("float32")
    score = x + 0.5 * draw.normal(size=x.shape)
    if kind == "binary":
        return x, (score.sum(1, keepdims=True) > 0).astype("float32"), weight
    numbers = score.argmax(1)
    return x, (np.eye(3, dtype="float32")[numbers] if kind == "one-hot" else numbers), weight


def pair(keras: Any, kind: str = "binary", activation: str | None = "sigmoid") -> tuple[Any, nn.Module]:
    """Return a Keras and a torch model with the same weights."""
    width = 1 if kind == "binary" else 3
    draw = np.random.default_rng(5)
    kernel, bias = draw.normal(size=(3, width)).astype("float32"), np.zeros(width, "float32")
    theirs = keras.Sequential([keras.Input((3,)), keras.layers.Dense(width, activation=activation)])
    theirs.set_weights([kernel, bias])
    linear = nn.Linear(3, width)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(kernel.T))
        linear.bias.zero_()
    ends: dict[Any, list[nn.Module]] = {None: [], "sigmoid": [nn.Sigmoid()], "softmax": [nn.Softmax(-1)]}
    return theirs, nn.Sequential(linear, *ends[activation])


METRICS = {
    "binary": ["AUC", "Precision", "Recall", "BinaryAccuracy", "MeanSquaredError", "CosineSimilarity",
               "RootMeanSquaredError", "BinaryCrossentropy", "Hinge", "R2Score"],
    "one-hot": ["AUC", "CategoricalAccuracy", "F1Score", "CategoricalCrossentropy", "KLDivergence", "Precision"],
    "numbers": ["SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy", "SparseCategoricalCrossentropy"],
}  # fmt: skip
LOSS = {
    "binary": "binary_crossentropy",
    "one-hot": "categorical_crossentropy",
    "numbers": "sparse_categorical_crossentropy",
}
END = {"binary": "sigmoid", "one-hot": "softmax", "numbers": "softmax"}
FIT: dict[str, Any] = {"epochs": 3, "batch_size": 16, "verbose": 0, "shuffle": False}


def assert_same(found: dict[str, Any], expected: dict[str, Any], tolerance: float = 2e-5) -> None:
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(np.asarray(found[name]), np.asarray(value), rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("kind", METRICS)
def test_metric_objects(keras: Any, kind: str) -> None:
    x, y, weight = data(kind)

    def metrics() -> dict[str, Any]:
        options = {"SparseTopKCategoricalAccuracy": {"k": 2}}
        made = [
            getattr(keras.metrics, name)(name=f"m{i}", **options.get(name, {})) for i, name in enumerate(METRICS[kind])
        ]
        return {"metrics": made[::2], "weighted_metrics": made[1::2]}

    theirs, module = pair(keras, kind, END[kind])
    theirs.compile(keras.optimizers.SGD(0.1), LOSS[kind], **metrics())
    own = Trainer(module, "sgd", LOSS[kind], learning_rate=0.1, **metrics())
    more = {"sample_weight": weight, "validation_data": (x[:20], y[:20], weight[:20])}
    assert_same(own.fit(x, y, **FIT, **more).history, theirs.fit(x, y, **FIT, **more).history)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("kind", "activation", "name", "options"),
    [
        ("binary", "sigmoid", "BinaryCrossentropy", {}),
        ("binary", None, "BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}),
        ("binary", "sigmoid", "BinaryFocalCrossentropy", {"gamma": 3.0}),
        ("binary", None, "MeanSquaredError", {"reduction": "sum"}),
        ("binary", None, "Huber", {"delta": 0.5}),
        ("binary", None, "Hinge", {}),
        ("one-hot", "softmax", "CategoricalCrossentropy", {"label_smoothing": 0.2}),
        ("one-hot", None, "CategoricalCrossentropy", {"from_logits": True}),
        ("one-hot", None, "CosineSimilarity", {}),
        ("numbers", "softmax", "SparseCategoricalCrossentropy", {}),
        ("numbers", None, "SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 1}),
        (
            "numbers",
            None,
            "SparseCategoricalCrossentropy",
            {"reduction": "mean_with_sample_weight", "from_logits": True},
        ),
    ],
)
def test_loss_objects(keras: Any, kind: str, activation: str | None, name: str, options: Any, weighted: bool) -> None:
    x, y, weight = data(kind)
    theirs, module = pair(keras, kind, activation)
    loss = getattr(keras.losses, name)(**options)
    theirs.compile(keras.optimizers.SGD(0.05), loss)
    own = Trainer(module, "sgd", loss, learning_rate=0.05)
    more = {"sample_weight": weight} if weighted else {}
    found, expected = own.fit(x, y, **FIT, **more).history, theirs.fit(x, y, **FIT, **more).history
    assert_same(found, expected)
    assert found["loss"][-1] < found["loss"][0]


@pytest.mark.parametrize(
    "name", ["binary_crossentropy", "mean_absolute_error", "mean_squared_logarithmic_error", "poisson"]
)
def test_functions_of_keras_as_loss_and_metric(keras: Any, name: str) -> None:
    x, y, weight = data()
    function = getattr(keras.losses, name)
    for targets in (y, y[:, 0]):  # (n, 1) and (n,)
        theirs, module = pair(keras)
        metrics = [function] if targets.ndim == 2 else []  # of (n,) Keras makes a table (n, n) here
        weighted = [keras.metrics.binary_accuracy]
        theirs.compile(keras.optimizers.SGD(0.1), function, metrics=metrics, weighted_metrics=weighted)
        own = Trainer(module, "sgd", function, metrics, weighted_metrics=weighted, learning_rate=0.1)
        more = {"sample_weight": weight}
        assert_same(own.fit(x, targets, **FIT, **more).history, theirs.fit(x, targets, **FIT, **more).history)


def test_partial_functions_of_keras(keras: Any) -> None:
    x, y, _ = data()
    theirs, module = pair(keras, activation=None)
    theirs.compile(keras.optimizers.SGD(0.1), keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1))
    loss = functools.partial(keras.losses.binary_crossentropy, from_logits=True, label_smoothing=0.1)
    own = Trainer(module, "sgd", loss, ["accuracy"], learning_rate=0.1)
    found = own.fit(x, y, **FIT).history
    assert found.pop("accuracy")[-1] == pytest.approx(
        float(((module(torch.from_numpy(x)) > 0) == torch.from_numpy(y)).float().mean()), abs=0.1
    )
    assert_same(found, theirs.fit(x, y, **FIT).history)


class Rate:
    """A metric that works like Keras's, by somebody who does not have Keras."""

    name = "rate"

    def __init__(self) -> None:
        self.hits, self.count = 0.0, 0

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None) -> None:
        assert set(y_true.unique().tolist()) <= {0.0, 1.0}
        self.hits += float(((y_pred > 0.5) == (y_true > 0.5)).sum())
        self.count += len(y_true)

    def result(self) -> float:
        return self.hits / self.count

    def reset_states(self) -> None:
        self.hits, self.count = 0.0, 0


def test_a_result_that_is_a_variable_is_copied(keras: Any) -> None:
    # in Keras's own history of training it becomes the figure of the validation that follows
    x, y, weight = data()
    metric = keras.metrics.TruePositives(thresholds=[0.3, 0.6], name="hits")
    trainer = Trainer(pair(keras)[1], "sgd", "bce", weighted_metrics=[metric], learning_rate=1e-12)
    history = trainer.fit(x, y, **FIT, sample_weight=weight, validation_data=(x[:9], y[:9], weight[:9])).history
    output = trainer.predict(x, verbose=0)[:, 0]
    expected = [(weight * ((output > t) & (y[:, 0] > 0.5))) for t in (0.3, 0.6)]
    np.testing.assert_allclose(history["hits"], [[one.sum() for one in expected]] * 3, rtol=1e-5)
    np.testing.assert_allclose(history["val_hits"], [[one[:9].sum() for one in expected]] * 3, rtol=1e-5)


def test_subclasses_and_objects_that_work_like_keras(keras: Any) -> None:
    class Own(keras.metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name="own")
            self.total = self.add_weight(name="total", initializer="zeros")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.total.assign_add(keras.ops.sum(keras.ops.cast(y_true, "float32") * 100 + y_pred))

        def result(self) -> Any:
            return self.total

    class OwnLoss(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return keras.ops.mean(keras.ops.square(y_true) * 3 - y_true * y_pred, axis=-1)

    x, y, _ = data()
    theirs, module = pair(keras)
    theirs.compile(keras.optimizers.SGD(0.1), OwnLoss(), metrics=[Own(), "accuracy"])
    own = Trainer(module, "sgd", OwnLoss(), [Own(), "accuracy", Rate()], learning_rate=0.1)
    found = own.fit(x, y, **FIT).history
    assert found.pop("rate") == pytest.approx(found["accuracy"])
    assert_same(found, theirs.fit(x, y, **FIT).history, 1e-3)


def weighted_error(y_true: Any, y_pred: Any) -> Any:
    return ((y_true + 1) * (y_true - y_pred) ** 2).mean()


class Module(nn.Module):
    def forward(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return weighted_error(y_true, y_pred)


class Called:
    def __call__(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return weighted_error(y_true, y_pred)


@pytest.mark.parametrize("given", [weighted_error, Module(), Called(), functools.partial(weighted_error)])
def test_functions_that_name_their_parameters_as_keras_does(keras: Any, given: Any) -> None:
    x, y, _ = data()
    for targets in (y, y[:, 0]):  # in Keras (n,) becomes (n, 1), not a table (n, n)
        theirs, module = pair(keras)
        theirs.compile(keras.optimizers.SGD(0.1), weighted_error)
        own = Trainer(module, "sgd", given, [("m", given)], learning_rate=0.1)
        found = own.fit(x, targets, **FIT).history
        np.testing.assert_allclose(found.pop("m"), found["loss"], rtol=1e-5)
        assert_same(found, theirs.fit(x, targets, **FIT).history)


@pytest.mark.parametrize(
    ("names", "target_first"),
    [
        ("y_true, y_pred", True), ("y_true, y_pred, sample_weight=None", True), ("target, output", True),
        ("labels, logits", True), ("y, y_hat", True), ("t, preds", True), ("y_true, p", True),
        ("output, target", False), ("input, target", False), ("y_pred, y_true", False), ("preds, target", False),
        ("logits, labels", False), ("outputs, targets", False), ("o, t", False), ("a, b", False), ("y, t", False),
        ("pred, y", False), ("x, y", False), ("target, labels", False), ("output, logits", False),
        ("*arguments", False), ("one", False),
    ],
)  # fmt: skip
def test_order_of_arguments_by_their_names(names: str, target_first: bool) -> None:
    function = eval(f"lambda {names}: None")
    assert takes_target_first(function) is target_first
    made = type("Made", (nn.Module,), {"forward": eval(f"lambda self, {names}: None")})()
    assert takes_target_first(made) is target_first


def test_torch_and_torchmetrics_keep_their_order(torchmetrics: Any) -> None:
    for given in (
        nn.CrossEntropyLoss(),
        nn.functional.mse_loss,
        nn.KLDivLoss(),
        torchmetrics.functional.mean_squared_error,
    ):
        assert not takes_target_first(given)


def test_an_evaluation_inside_an_epoch_leaves_the_figures_of_training_alone(keras: Any) -> None:
    class Threshold(keras.metrics.Metric):  # has no get_config, so a copy made by Keras would have threshold 0.5
        def __init__(self, threshold: float = 0.5) -> None:
            super().__init__(name="over")
            self.threshold = threshold
            self.over = self.add_weight(name="over", initializer="zeros")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.over.assign_add(keras.ops.sum(keras.ops.cast(y_pred > self.threshold, "float32")))

        def result(self) -> Any:
            return self.over + 0

    x, y, _ = data()

    def fit(looks: bool) -> Any:
        trainer = Trainer(pair(keras)[1], "sgd", "bce", [keras.metrics.AUC(name="auc"), Threshold(0.8)])

        def look(batch: int, logs: Any) -> None:
            found = trainer.evaluate(x[:7], y[:7], verbose=0, return_dict=True)
            assert found["over"] == int((trainer.predict(x[:7], verbose=0) > 0.8).sum())

        callbacks = [LambdaCallback(on_train_batch_end=look)] if looks else []
        return trainer.fit(x, y, **FIT, callbacks=callbacks, validation_data=(x[:9], y[:9])).history

    undisturbed = fit(looks=False)
    assert fit(looks=True) == undisturbed
    assert undisturbed["over"][0] > undisturbed["val_over"][0] > 0


def test_a_metric_object_takes_part_in_callbacks_and_in_logs_of_batches(keras: Any) -> None:
    x, y, _ = data()
    seen: list[Any] = []
    kept: list[float] = []

    def watch_batch(batch: int, logs: Any) -> None:
        seen.append(logs)
        kept.append(float(dict(trainer.meter.logs())["mean_squared_error"]))

    watch = LambdaCallback(on_train_batch_end=watch_batch)
    trainer = Trainer(pair(keras)[1], "sgd", "bce", [keras.metrics.AUC(name="auc"), keras.metrics.MeanSquaredError()])
    history = trainer.fit(
        x,
        y,
        **FIT,
        validation_split=0.5,
        callbacks=[watch, EarlyStopping("val_auc"), EarlyStopping("val_mean_squared_error")],
    ).history
    assert sorted(history) == ["auc", "loss", "mean_squared_error", "val_auc", "val_loss", "val_mean_squared_error"]
    values = [float(logs["mean_squared_error"]) for logs in seen]
    assert values == pytest.approx(kept)  # each has the figure of its batch, whenever it is looked at
    assert len(set(values)) == len(values) == 6


@pytest.mark.parametrize("kind", ["AUC", "F1Score", "MeanSquaredError", "own", "update"])
def test_state_of_an_object_is_kept_in_snapshots(keras: Any, kind: str) -> None:
    class Updates:
        def __init__(self) -> None:
            self.sums = [0.0, 0.0]

        def update(self, output: Tensor, target: Tensor) -> None:
            self.sums = [self.sums[0] + float((output - target).abs().sum()), self.sums[1] + len(output)]

        def compute(self) -> float:
            return self.sums[0] / self.sums[1]

        def reset(self) -> None:
            self.sums = [0.0, 0.0]

    def make() -> Any:
        return {"own": Rate, "update": Updates}[kind]() if kind in ("own", "update") else getattr(keras.metrics, kind)()

    one, other = as_metric(make()), as_metric(make())
    output = torch.linspace(0.01, 0.99, 20).reshape(10, 2)
    target = (output > 0.4).float()
    one.update(output[:6], target[:6])
    other.load_state_dict(one.state_dict())
    for metric in (one, other):
        metric.update(output[6:], 1 - target[6:])
    first, second = (next(iter(metric.figures().values()))() for metric in (one, other))
    np.testing.assert_allclose(np.asarray(first), np.asarray(second))
    assert np.asarray(first).max() > 0


def test_training_goes_on_from_a_snapshot_with_keras_metrics(keras: Any, tmp_path: Any) -> None:
    x, y, _ = data()

    def fit(stop_at: int | None) -> Any:
        trainer = Trainer(
            pair(keras)[1], "lion", "bce", [keras.metrics.AUC(name="a"), keras.metrics.F1Score(name="f"), "AUC"]
        )

        class Stop(LambdaCallback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                if trainer.epoch == 1 and batch == stop_at:
                    trainer.write_state(tmp_path / "state.safetensors")
                    raise KeyboardInterrupt

        if stop_at is None and (tmp_path / "state.safetensors").exists():
            state = trainer.read_state(tmp_path / "state.safetensors")
            back = LambdaCallback(on_train_begin=lambda logs: trainer.restore(state))
            return trainer.fit(x, y, **FIT, callbacks=[back]).history
        return trainer.fit(x, y, **FIT, callbacks=[Stop()]).history

    whole = fit(None)
    with pytest.raises(KeyboardInterrupt):
        fit(1)
    rest = fit(None)
    for name, values in whole.items():
        np.testing.assert_allclose(rest[name][-2:], values[-2:], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", ["AUC", "Precision", "BinaryAccuracy", "BinaryCrossentropy"])
def test_a_metric_of_probabilities_is_warned_about_where_outputs_are_logits(keras: Any, name: str) -> None:
    x, y, _ = data()
    module = pair(keras, activation=None)[1]
    with pytest.warns(
        RuntimeWarning, match=r"takes probabilities, but the module returns logits: pass from_logits=True"
    ):
        Trainer(module, None, "bce_with_logits", [getattr(keras.metrics, name)()]).evaluate(x, y, verbose=0)
    right = Trainer(module, None, "bce_with_logits", ["AUC", keras.metrics.AUC(from_logits=True, name="k")])
    logs = right.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["AUC"] == pytest.approx(logs["k"])


def test_keras_losses_refuse_logits(keras: Any) -> None:
    x, y, _ = data()
    for loss in (keras.losses.BinaryCrossentropy(), keras.losses.binary_crossentropy):
        with pytest.raises(TrainingError, match="takes probabilities, but the module returns values outside 0 to"):
            Trainer(pair(keras, activation=None)[1], "sgd", loss).fit(3 * x, y, verbose=0)


def test_another_backend_of_keras_has_no_gradient(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    metric, loss = keras.metrics.MeanSquaredError(), keras.losses.MeanSquaredError()
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(
        TrainingError, match="computes with tensorflow, so torch has no gradient of it\n  set KERAS_BACKEND=torch"
    ):
        as_loss(loss)
    with pytest.raises(TrainingError, match="the loss mean_squared_error of Keras computes with tensorflow"):
        as_loss(keras.losses.mean_squared_error)
    seen: list[Any] = []
    monkeypatch.setattr(metric, "update_state", lambda *pair, **more: seen.extend(pair))
    own = as_metric(metric)
    own.metric.update_state = lambda *pair, **more: seen.extend(pair)
    own.update(torch.ones(2, 1, requires_grad=True), torch.zeros(2, 1))
    assert [type(one) for one in seen] == [np.ndarray, np.ndarray]
    assert seen[0].sum() == 0  # the target comes first


def test_what_cannot_be_used_shows_the_way(keras: Any) -> None:
    from sklearn.metrics import f1_score

    for given, message in (
        (
            f1_score,
            r"sklearn's f1_score, which takes arrays of a whole data set, labels first.*\n  use a name such as",
        ),
        (np.mean, "numpy's mean, which takes arrays"),
        (keras.metrics.AUC, r"the class AUC; expected an instance: AUC\(\)"),
    ):
        with pytest.raises(TrainingError, match=message):
            as_metric(given)
    for mean in (keras.metrics.Mean(), keras.metrics.Sum()):
        with pytest.raises(TrainingError, match="which takes values, not targets and outputs"):
            as_metric(mean)
    with pytest.raises(TrainingError, match="loss is sklearn's log_loss, which has no gradient"):
        from sklearn.metrics import log_loss

        as_loss(log_loss)
    for optimizer in (keras.optimizers.Adam(0.01), keras.optimizers.Adam):
        with pytest.raises(TrainingError, match=r"optimizer is Keras's Adam.*\n  write optimizer='adam'"):
            Trainer(nn.Linear(3, 1), optimizer, "mse")
    for name in ("ftrl", "ScheduleFreeAdamW"):
        with pytest.raises(TrainingError, match=f"no optimizer is called '{name}'\n  "):
            Trainer(nn.Linear(3, 1), name, "mse")


def test_wrappers_and_collections_of_torchmetrics_keep_their_state(torchmetrics: Any) -> None:
    collection = torchmetrics.MetricCollection(
        [torchmetrics.MeanSquaredError(), torchmetrics.MeanAbsoluteError()], compute_groups=False
    )
    smallest = torchmetrics.MinMaxMetric(torchmetrics.MeanSquaredError())
    for given in (collection, smallest):
        one, other = as_metric(given), as_metric(given)
        output, target = torch.arange(8.0), torch.arange(8.0).flip(0)
        one.update(output[:5], target[:5])
        other.load_state_dict(one.state_dict())
        for metric in (one, other):
            metric.update(output[5:], target[5:])
        first, second = (next(iter(metric.figures().values()))() for metric in (one, other))
        assert {k: float(v) for k, v in first.items()} == {k: float(v) for k, v in second.items()}


def test_torchmetrics_gets_probabilities_of_logits(torchmetrics: Any) -> None:
    kinds = torchmetrics.classification
    small = torch.tensor([0.1, 0.3, 0.4, 0.45])[:, None]  # every answer is yes, but none is above 0.5
    y = torch.ones(4)
    for targets in (y, y[:, None], y.long()):
        trainer = Trainer(nn.Identity(), None, "bce_with_logits", [kinds.BinaryAccuracy(), kinds.BinaryRecall()])
        logs = trainer.evaluate(small, targets, verbose=0, return_dict=True)
        assert (logs["binary_accuracy"], logs["binary_recall"]) == (1.0, 1.0)
    both = torchmetrics.MetricCollection(
        [kinds.MulticlassAccuracy(3, average="micro"), kinds.MulticlassCalibrationError(3)]
    )
    draw = torch.Generator().manual_seed(0)
    logits, numbers = torch.rand(50, 3, generator=draw), torch.randint(3, (50,), generator=draw)
    logs = Trainer(nn.Identity(), None, "cross_entropy", [both]).evaluate(logits, numbers, verbose=0, return_dict=True)
    expected = torchmetrics.functional.classification.multiclass_calibration_error(logits.softmax(1), numbers, 3)
    assert logs["MulticlassCalibrationError"] == pytest.approx(float(expected))
    assert logs["MulticlassAccuracy"] == pytest.approx(float((logits.argmax(1) == numbers).float().mean()))


def test_a_function_may_compute_outside_of_torch_as_metric_but_not_as_loss() -> None:
    def hits(output: Any, target: Any) -> float:
        return float(np.mean((output.numpy() > 0.5) == target.numpy()))

    x, y, _ = data()
    history = (
        Trainer(nn.Sequential(nn.Linear(3, 1), nn.Sigmoid()), "sgd", "bce", [hits, "accuracy"]).fit(x, y, **FIT).history
    )
    assert history["hits"] == pytest.approx(history["accuracy"])
    for loss in (lambda output, target: float(output.sum()), lambda output, target: output.detach().mean(),
                 lambda output, target: np.mean(output.detach().numpy())):  # fmt: skip
        with pytest.raises(TrainingError, match="the loss <lambda> has no gradient: compute it with torch"):
            Trainer(nn.Linear(3, 1), "sgd", loss).fit(x, y, verbose=0)


def test_outputs_of_a_loss_of_ones_own_are_logits_where_they_lie_beyond_0_and_1() -> None:
    def focal(output: Tensor, target: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(output, target).pow(2)

    x, y, _ = data()
    logits = torch.from_numpy(x.sum(1, keepdims=True))
    answers = (logits > 0).numpy() == (y > 0.5)
    names = ["accuracy", "binary_accuracy", "Precision", "AUC", "binary_crossentropy"]
    logs = Trainer(nn.Identity(), None, focal, names).evaluate(logits, y, verbose=0, return_dict=True)
    right = Trainer(nn.Identity(), None, "bce_with_logits", names).evaluate(logits, y, verbose=0, return_dict=True)
    assert logs["accuracy"] == pytest.approx(answers.mean())
    for name in names:
        assert logs[name] == pytest.approx(right[name]), name
    probable = Trainer(nn.Identity(), None, lambda output, target: focal(output, target) * 1, names)
    logs = probable.evaluate(logits.sigmoid(), y, verbose=0, return_dict=True)
    assert logs["accuracy"] == pytest.approx(answers.mean())
    several = Trainer(nn.Identity(), None, focal, ["AUC"])
    with pytest.raises(TrainingError, match="whether to apply a sigmoid or a softmax\n  pass loss='bce_with_logits'"):
        several.evaluate(torch.from_numpy(x), (x > 0).astype("float32"), verbose=0)
