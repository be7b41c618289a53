"""The same small network, weights and order of batches in Keras and in `Trainer`: the same history, the same hooks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from regraft import callbacks as ours
from regraft.training import Trainer

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::RuntimeWarning")


def networks(keras: Any, classes: int = 3, hidden: int = 16) -> tuple[Any, nn.Module]:
    """Return a Keras and a torch network with the same weights."""
    draw = np.random.default_rng(1)
    theirs = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(hidden, activation="tanh"), keras.layers.Dense(classes)]
    )
    own = nn.Sequential(nn.Linear(8, hidden), nn.Tanh(), nn.Linear(hidden, classes))
    for layer, linear in zip(theirs.layers, (own[0], own[2]), strict=True):
        kernel = draw.normal(size=layer.kernel.shape).astype("float32") * 0.4
        layer.set_weights([kernel, np.zeros(layer.bias.shape, "float32")])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(kernel.T))
            linear.bias.zero_()
    return theirs, own


def histories(keras: Any, points: Any, name: str, own_fit: dict[str, Any] | None = None, **fit: Any) -> tuple[Any, Any]:
    """Return the history of Keras and ours with the optimizer called ``name``."""
    x, y = points
    theirs, own = networks(keras)
    rate = {"sgd": 0.1, "momentum": 0.05, "nesterov": 0.05, "adadelta": 1.0, "adafactor": 0.1}.get(name, 0.01)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    theirs.compile(keras_optimizer(keras, name, rate), loss, metrics=["accuracy"], weighted_metrics=["acc"])
    trainer = Trainer(own, name, "cross_entropy", ["accuracy"], weighted_metrics=["acc"], learning_rate=rate)
    common = {"epochs": 5, "batch_size": 32, "verbose": 0, "shuffle": False} | fit
    expected = theirs.fit(x.numpy(), y.numpy(), **common).history
    found = trainer.fit(x, y, **(common | (own_fit or {}))).history
    return expected, found


def keras_optimizer(keras: Any, name: str, rate: float) -> Any:
    options: dict[str, Any] = {"momentum": {"momentum": 0.9}, "nesterov": {"momentum": 0.9, "nesterov": True}}
    kinds = {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad", "adadelta": "Adadelta"}
    kinds |= {"adamax": "Adamax", "nadam": "Nadam", "lion": "Lion", "lamb": "Lamb", "muon": "Muon"}
    kinds |= {"adafactor": "Adafactor"}
    return getattr(keras.optimizers, kinds.get(name, "SGD"))(learning_rate=rate, **options.get(name, {}))


def assert_close(expected: dict[str, Any], found: dict[str, Any], tolerance: float) -> None:
    assert sorted(found) == sorted(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=tolerance, err_msg=name)


#: How far the history may be from Keras's after 5 epochs. Torch's Adam corrects the bias before it adds epsilon, and
#: its RMSprop adds epsilon outside the root; the others have Keras's formula.
TOLERANCES = {
    "sgd": 1e-5, "momentum": 1e-5, "nesterov": 1e-5, "adagrad": 1e-5, "adadelta": 1e-5, "adamax": 1e-5, "nadam": 1e-5,
    "adam": 1e-4, "adamw": 1e-4, "rmsprop": 1e-2, "lion": 1e-5, "lamb": 1e-5, "muon": 1e-4, "adafactor": 1e-4,
}  # fmt: skip


@pytest.mark.parametrize("name", TOLERANCES)
def test_history(keras: Any, points: Any, name: str) -> None:
    expected, found = histories(keras, points, name, validation_split=0.2)
    assert_close(expected, found, TOLERANCES[name])
    assert expected["loss"][-1] < expected["loss"][0] - 0.05


@pytest.mark.parametrize("name", ["sgd", "momentum"])
@pytest.mark.parametrize(
    "case", ["class", "sample", "three", "split and sample", "steps", "steps that do not divide", "frequency", "from 2"]
)
def test_history_with(keras: Any, points: Any, name: str, case: str) -> None:
    x, y = points
    weights = np.linspace(0.2, 3, len(x)).astype("float32")
    theirs: dict[str, Any] = {
        "class": {"class_weight": {0: 2.0, 2: 0.25}, "validation_split": 0.2},
        "sample": {"sample_weight": weights},
        "split and sample": {"sample_weight": weights, "validation_split": 0.3, "validation_batch_size": 7},
        "three": {"sample_weight": weights[:150], "validation_data": (x[150:].numpy(), y[150:].numpy(), weights[150:])},
        "steps": {"steps_per_epoch": 3, "validation_split": 0.2, "validation_steps": 1},
        "steps that do not divide": {"steps_per_epoch": 4},
        "frequency": {"validation_split": 0.2, "validation_freq": 2},
        "from 2": {"initial_epoch": 2, "validation_split": 0.2, "validation_freq": [3, 5]},
    }[case]
    if case == "three":
        points = (x[:150], y[:150])
    expected, found = histories(keras, points, name, **theirs)
    assert_close(expected, found, 1e-5)


def test_history_with_callbacks(keras: Any, points: Any) -> None:
    def callbacks(source: Any) -> dict[str, Any]:
        return {
            "callbacks": [
                source.LearningRateScheduler(lambda epoch, rate: rate * 0.7),
                source.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=0.05),
                source.EarlyStopping("val_loss", patience=3, min_delta=0.2, restore_best_weights=True),
            ]
        }

    # with momentum, torch multiplies the whole velocity by a new rate and Keras only what is added to it
    fit = {"epochs": 12, "validation_split": 0.2}
    expected, found = histories(keras, points, "sgd", callbacks(ours), **(fit | callbacks(keras.callbacks)))
    assert_close(expected, found, 1e-5)
    assert 1 < len(found["loss"]) < 12


def test_moving_average(keras: Any, points: Any) -> None:
    x, y = points
    theirs, own = networks(keras)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    theirs.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9), loss)
    trainer = Trainer(own, "sgd", "cross_entropy", learning_rate=0.1, ema=0.9)
    for on_epoch in (False, True):
        fit = {"epochs": 3, "batch_size": 32, "verbose": 0, "shuffle": False, "validation_split": 0.25}
        expected = theirs.fit(x.numpy(), y.numpy(), callbacks=[keras.callbacks.SwapEMAWeights(on_epoch)], **fit)
        found = trainer.fit(x, y, callbacks=[ours.SwapEMAWeights(on_epoch)], **fit)
        assert_close(expected.history, found.history, 1e-5)
        np.testing.assert_allclose(trainer.predict(x, verbose=0), theirs.predict(x.numpy(), verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["mse", "mae", "mape", "msle", "huber", "log_cosh", "poisson", "kl_divergence", "cosine_similarity", "hinge",
     "squared_hinge", "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"],
)  # fmt: skip
def test_losses_by_keras_names(keras: Any, name: str) -> None:
    from regraft.training.losses.losses import as_loss

    draw = np.random.default_rng(0)
    output = draw.dirichlet(np.ones(4), 12).astype("float32")
    target: Any = draw.dirichlet(np.ones(4), 12).astype("float32")
    weight = draw.random(12).astype("float32")
    if "hinge" in name or name.startswith("binary"):
        target = (target > 0.25).astype("float32")
    if name.startswith("sparse"):
        target = draw.integers(0, 4, 12)
    function = keras.losses.get({"mape": "mean_absolute_percentage_error"}.get(name, name))
    wrapped = keras.src.losses.losses.LossFunctionWrapper(function)
    for w in (None, weight):
        expected = float(keras.ops.convert_to_numpy(wrapped(target, output, w)))
        weights = None if w is None else torch.from_numpy(w)
        found = float(as_loss(name)(torch.from_numpy(output), torch.as_tensor(target), weights))
        assert found == pytest.approx(expected, abs=1e-5, rel=1e-5)


class _Traced:
    """Write down every call of a hook: its name and arguments."""

    HOOKS = [
        f"on_{part}{kind}_{edge}" for part in ("train", "test", "predict") for kind in ("", "_batch")
        for edge in ("begin", "end")
    ] + ["on_epoch_begin", "on_epoch_end", "set_params"]  # fmt: skip

    @classmethod
    def make(cls, base: type, trace: list[Any]) -> Any:
        def record(name: str) -> Any:
            def hook(self: Any, *args: Any, **kwargs: Any) -> None:
                trace.append((name, _plain(args), {key: _plain(value) for key, value in kwargs.items()}))
                if name == "on_train_batch_end" and args[0] == self.stop_at:
                    self.model.stop_training = True

            return hook

        return type("Traced", (base,), {name: record(name) for name in cls.HOOKS} | {"stop_at": None})()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "shape") and value.shape:
        return tuple(value.shape)
    return round(float(value), 4) if isinstance(value, (float, np.floating)) else value


@pytest.mark.parametrize("stop_at", [None, 2])
def test_hooks_are_called_in_the_same_order_with_the_same_arguments(
    keras: Any, points: Any, stop_at: int | None
) -> None:
    x, y = points
    theirs, own = networks(keras)
    theirs.compile(
        keras.optimizers.SGD(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    trainer = Trainer(own, "sgd", "cross_entropy", ["accuracy"], learning_rate=0.1)
    traces: list[list[Any]] = []
    for model, base in ((theirs, keras.callbacks.Callback), (trainer, ours.Callback)):
        trace: list[Any] = []
        callback = _Traced.make(base, trace)
        callback.stop_at = stop_at
        quiet = {"callbacks": [callback], "verbose": 0, "batch_size": 64}
        model.fit(x.numpy(), y.numpy(), epochs=3, validation_split=0.3, validation_freq=2, shuffle=False, **quiet)
        model.evaluate(x.numpy(), y.numpy(), **quiet)
        model.predict(x.numpy(), **quiet)
        traces.append(trace)
    assert traces[1] == traces[0]
    assert len(traces[0]) > 30
