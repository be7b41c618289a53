"""Callbacks that people publish for Keras: what they read and set on a model, and small ones of each kind.

The list was collected from some thirty public callbacks: cyclical rates, one-cycle, warm-up, cosine restarts, finders
of learning rates, loggers of confusion matrices and of Grad-CAM, weight averaging, lookahead, snapshot ensembles,
notifiers, progress bars, and the loggers of W&B, MLflow, Neptune, Comet, livelossplot and Keras Tuner.
"""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from callbacks.third_party import (
    PLAIN,
    careful_checkpoint,
    confusion,
    counted_plateau,
    rate_finder,
    set_value,
    smoothed_stopping,
)
from regraft import callbacks as ours
from regraft.callbacks import BackupAndRestore, Callback
from regraft.errors import TrainingError
from regraft.training import Trainer

X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def keras_model(keras: Any, momentum: float = 0.0, metrics: Any = ()) -> Any:
    dense = keras.layers.Dense
    model = keras.Sequential(
        [keras.Input((3,)), dense(2, kernel_initializer="ones"), dense(1, kernel_initializer="ones")]
    )
    model.compile(keras.optimizers.SGD(0.02, momentum=momentum), "mse", metrics=list(metrics))
    return model


def own_model(momentum: float = 0.0, metrics: Any = ()) -> Trainer:
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    for linear in net:
        nn.init.ones_(linear.weight)
        nn.init.zeros_(linear.bias)
    return Trainer(net, torch.optim.SGD(net.parameters(), lr=0.02, momentum=momentum), "mse", list(metrics))


def close(own: Any, theirs: Any) -> bool:
    """Return whether two nested results are equal, numbers up to single precision."""
    if isinstance(theirs, dict):
        return own.keys() == theirs.keys() and all(close(own[key], theirs[key]) for key in theirs)
    if isinstance(theirs, (list, tuple)):
        return len(own) == len(theirs) and all(map(close, own, theirs))
    if isinstance(theirs, float):
        return bool(own == pytest.approx(theirs, rel=2e-4, abs=1e-6))
    return bool(own == theirs)


def fitted(model: Any, callback: Any, **options: Any) -> Any:
    given = {"epochs": 4, "batch_size": 4, "shuffle": False, "verbose": 0} | options
    history = model.fit(X, Y, callbacks=[callback], **given)
    return {name: [float(v) for v in values] for name, values in history.history.items()}


@pytest.mark.parametrize("name", PLAIN)
def test_a_callback_does_the_same_on_both(keras: Any, name: str) -> None:
    momentum = 0.9 if name == "one_cycle" else 0.0
    theirs, own = PLAIN[name](keras.callbacks)(), PLAIN[name](ours)()
    expected = fitted(keras_model(keras, momentum), theirs)
    found = fitted(own_model(momentum), own)
    assert len(own.outcome) > 1
    assert close(own.outcome, theirs.outcome), (own.outcome, theirs.outcome)
    if name != "one_cycle":  # torch applies a new rate to the whole velocity
        assert close(found, expected)


@pytest.mark.parametrize("name", PLAIN)
def test_a_subclass_of_keras_does_the_same_here(keras: Any, name: str) -> None:
    theirs, own = PLAIN[name](keras.callbacks)(), PLAIN[name](ours)()
    momentum = 0.9 if name == "one_cycle" else 0.0
    histories = [fitted(own_model(momentum), callback) for callback in (theirs, own)]
    assert own.outcome == theirs.outcome
    assert histories[0] == histories[1]


def test_rate_finder(keras: Any, tmp_path: Path) -> None:
    outcomes = []
    for model, source in ((keras_model(keras), keras.callbacks), (own_model(), ours)):
        before = [w.copy() for w in model.get_weights()]
        finder = rate_finder(source)(model, str(tmp_path / f"{source.__name__}.weights.h5"))
        finder.find(X, Y)
        assert all(map(np.array_equal, model.get_weights(), before))
        assert float(model.optimizer.learning_rate) == pytest.approx(0.02)
        outcomes.append(finder.outcome)
    assert 2 < len(outcomes[0]) < 12  # it stopped
    assert close(outcomes[1], outcomes[0])


def test_confusion_matrix(keras: Any) -> None:
    theirs, own = confusion(keras.callbacks)(X, Y), confusion(ours)(X, Y)
    expected, found = fitted(keras_model(keras), theirs), fitted(own_model(), own)
    assert own.outcome == theirs.outcome
    assert close(found, expected)


@pytest.mark.parametrize("mode", ["auto", "min", "max"])
@pytest.mark.parametrize("min_delta", [0.0, 0.05])
def test_subclass_of_early_stopping(keras: Any, mode: str, min_delta: float) -> None:
    arguments = {"monitor": "loss", "patience": 1, "mode": mode, "min_delta": min_delta, "restore_best_weights": True}
    theirs, own = smoothed_stopping(keras.callbacks)(**arguments), smoothed_stopping(ours)(**arguments)
    expected, found = fitted(keras_model(keras), theirs, epochs=8), fitted(own_model(), own, epochs=8)
    assert close(found, expected)
    assert close(own.outcome, theirs.outcome), (own.outcome, theirs.outcome)
    assert own.monitor_op == keras.ops.less or mode == "max"
    assert (own.monitor_op == np.greater) == (mode == "max")
    assert own.min_delta == theirs.min_delta


def test_own_comparison_of_a_subclass() -> None:
    class Odd(ours.EarlyStopping):
        def __init__(self) -> None:
            super().__init__("loss", patience=1)
            self.monitor_op = lambda value, best: value > best + 100  # never

    assert len(fitted(own_model(), Odd(), epochs=9)["loss"]) == 2


def test_subclass_of_model_checkpoint(keras: Any, tmp_path: Path) -> None:
    outcomes = []
    for model, source in ((keras_model(keras), keras.callbacks), (own_model(), ours)):
        folder = tmp_path / source.__name__
        arguments = {"monitor": "loss", "save_best_only": True, "save_weights_only": True, "mode": "min"}
        callback = careful_checkpoint(source)(str(folder / "{epoch:02d}-{loss:.2f}.weights.h5"), **arguments)
        fitted(model, callback)
        outcomes.append((callback.outcome, sorted(p.name for p in folder.iterdir())))
        assert callback.best is not None
    assert outcomes[0] == outcomes[1]
    assert not any(name.startswith("01") for name in outcomes[0][1])


def test_subclass_of_reduce_on_plateau(keras: Any) -> None:
    arguments = {"monitor": "loss", "patience": 1, "min_delta": 9.0, "cooldown": 1, "factor": 0.5}
    theirs, own = counted_plateau(keras.callbacks)(**arguments), counted_plateau(ours)(**arguments)
    expected, found = fitted(keras_model(keras), theirs, epochs=7), fitted(own_model(), own, epochs=7)
    assert close(own.outcome, theirs.outcome)
    assert close(found, expected)


READS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "float(optimizer.learning_rate)": (lambda m: float(m.optimizer.learning_rate), 0.02),
    "optimizer.learning_rate.numpy()": (lambda m: float(m.optimizer.learning_rate.numpy()), 0.02),
    "optimizer.learning_rate.numpy().item()": (lambda m: m.optimizer.learning_rate.numpy().item(), 0.02),
    "optimizer.learning_rate.value": (lambda m: float(m.optimizer.learning_rate.value), 0.02),
    "optimizer.learning_rate.shape": (lambda m: tuple(m.optimizer.learning_rate.shape), ()),
    "optimizer.learning_rate.dtype": (lambda m: m.optimizer.learning_rate.dtype == "float32", True),
    "optimizer.learning_rate.name": (lambda m: m.optimizer.learning_rate.name, "learning_rate"),
    "optimizer.learning_rate * 0.5": (lambda m: float(m.optimizer.learning_rate * 0.5), 0.01),
    "1 - optimizer.learning_rate": (lambda m: float(1 - m.optimizer.learning_rate), 0.98),
    "optimizer.learning_rate < 1": (lambda m: bool(m.optimizer.learning_rate < 1), True),
    "optimizer.iterations.numpy()": (lambda m: int(m.optimizer.iterations.numpy()), 0),
    "int(optimizer.iterations)": (lambda m: int(m.optimizer.iterations), 0),
    "optimizer.name": (lambda m: m.optimizer.name.split("_")[0], "sgd"),
    "optimizer.get_config()['name']": (lambda m: m.optimizer.get_config()["name"].split("_")[0], "sgd"),
    "optimizer.get_config()['learning_rate']": (lambda m: float(m.optimizer.get_config()["learning_rate"]), 0.02),
    "optimizer.get_config()['momentum']": (lambda m: m.optimizer.get_config()["momentum"], 0.0),
    "optimizer.get_config()['nesterov']": (lambda m: m.optimizer.get_config()["nesterov"], False),
    "optimizer.momentum": (lambda m: float(m.optimizer.momentum), 0.0),
    "optimizer.nesterov": (lambda m: m.optimizer.nesterov, False),
    "optimizer.variables[1]": (lambda m: float(m.optimizer.variables[1]), 0.02),
    "hasattr(optimizer, 'beta_1')": (lambda m: hasattr(m.optimizer, "beta_1"), False),
    "hasattr(optimizer, 'inner_optimizer')": (lambda m: hasattr(m.optimizer, "inner_optimizer"), False),
    "hasattr(optimizer, 'lr_schedule')": (lambda m: hasattr(m.optimizer, "lr_schedule"), False),
    "model(x).shape": (lambda m: tuple(m(torch.tensor(X)).shape), (24, 1)),
    "model(x, training=True).shape": (lambda m: tuple(m(torch.tensor(X), training=True).shape), (24, 1)),
    "model(array).shape": (lambda m: tuple(m(X).shape), (24, 1)),
    "model.loss": (lambda m: m.loss, "mse"),
    "model.compiled": (lambda m: m.compiled, True),
    "model.built": (lambda m: m.built, True),
    "model.metrics[0].name": (lambda m: m.metrics[0].name, "loss"),
    "model.metrics_names[0]": (lambda m: m.metrics_names[0], "loss"),
    "model.stop_training": (lambda m: m.stop_training, False),
    "model.count_params()": (lambda m: m.count_params(), 11),
    "model.summary()": (lambda m: m.summary(print_fn=lambda *a, **k: None), None),
    "len(model.layers)": (lambda m: len(m.layers), 2),
    "model.layers[-1].count_params()": (lambda m: m.layers[-1].count_params(), 3),
    "model.get_layer(index=0)": (lambda m: m.get_layer(index=0).count_params(), 8),
    "model.get_layer(index=-1)": (lambda m: m.get_layer(index=-1).count_params(), 3),
    "model.get_layer(name=layer.name)": (lambda m: m.get_layer(m.layers[1].name).count_params(), 3),
    "layer.weights": (lambda m: [int(np.prod(w.shape)) for w in m.layers[0].weights], [6, 2]),
    "layer.get_weights()": (lambda m: [float(w.sum()) for w in m.layers[0].get_weights()], [6.0, 0.0]),
    "layer.trainable": (lambda m: m.layers[0].trainable, True),
    "layer.trainable_weights": (lambda m: len(m.layers[0].trainable_weights), 2),
    "layer.non_trainable_weights": (lambda m: len(m.layers[0].non_trainable_weights), 0),
    "layer(x)": (lambda m: tuple(m.layers[0](torch.tensor(X)).shape), (24, 2)),
    "model.trainable": (lambda m: m.trainable, True),
    "model.weights": (lambda m: len(m.weights), 4),
    "model.trainable_variables": (lambda m: len(m.trainable_variables), 4),
    "model.non_trainable_variables": (lambda m: len(m.non_trainable_variables), 0),
    "model.get_weights()": (lambda m: [float(w.sum()) for w in m.get_weights()], [6.0, 0.0, 2.0, 0.0]),
    "model.predict(x)": (lambda m: tuple(m.predict(X, verbose=0).shape), (24, 1)),
    "model.predict_on_batch(x)": (lambda m: tuple(m.predict_on_batch(X).shape), (24, 1)),
    "model.evaluate(x, y, return_dict=True)": (
        lambda m: sorted(m.evaluate(X, Y, verbose=0, return_dict=True)),
        ["loss"],
    ),
}


@pytest.mark.parametrize("name", READS)
def test_what_callbacks_read_is_kerass(keras: Any, name: str) -> None:
    read, expected = READS[name]
    seen: list[Any] = []
    for model, source in ((keras_model(keras), keras.callbacks), (own_model(), ours)):

        class Reads(source.Callback):  # type: ignore[misc,name-defined]
            def on_train_begin(self, logs: Any = None) -> None:
                seen.append(read(self.model))

        fitted(model, Reads(), epochs=1)
    assert close(seen[0], expected), seen
    assert close(seen[1], expected), seen


ONLY_HERE: dict[str, tuple[Callable[[Any], Any], Any]] = {  # of older Keras; Keras 3 has them no more
    "optimizer.lr": (lambda m: float(m.optimizer.lr), 0.02),
    "optimizer.lr.assign": (lambda m: float(m.optimizer.lr.assign(0.5)), 0.5),
    "optimizer.learning_rate.read_value()": (lambda m: float(m.optimizer.learning_rate.read_value()), 0.02),
    "optimizer.learning_rate.value()": (lambda m: float(m.optimizer.learning_rate.value()), 0.02),
    "optimizer.learning_rate(step)": (lambda m: float(m.optimizer.learning_rate(3)), 0.02),
    "optimizer.variables()": (lambda m: len(m.optimizer.variables()), 2),
    "metrics_names": (lambda m: m.metrics_names, ["loss", "mae"]),
    "metrics": (lambda m: [one.name for one in m.metrics], ["loss", "mae"]),
    "isinstance(lr, float)": (lambda m: isinstance(m.optimizer.learning_rate, float), True),
}


@pytest.mark.parametrize("name", ONLY_HERE)
def test_what_callbacks_of_older_keras_read(name: str) -> None:
    read, expected = ONLY_HERE[name]
    assert close(read(own_model(metrics=["mae"])), expected)


MISSING = {
    "inputs": "no symbolic tensors; call the model on a batch",
    "outputs": "register a forward hook",
    "input_shape": "does not fix the shapes",
    "to_json": "save weights with model.save",
    "get_config": "no configuration",
    "compile": "make a new Trainer",
    "compiled_metrics": "use model.metrics",
    "train_function": "the loop is the Trainer's",
    "fit_generator": "pass the generator to fit",
    "predict_classes": "argmax",
    "weight": "the torch module has one: model.module.weight",
    "nonsense": "$",
}


@pytest.mark.parametrize("name", MISSING)
def test_what_a_torch_module_does_not_have(name: str) -> None:
    trainer = Trainer(nn.Linear(3, 1), "sgd", "mse")
    with pytest.raises(AttributeError, match=f"Trainer has no '{name}'.*{MISSING[name]}"):
        getattr(trainer, name)
    assert not hasattr(trainer, name)
    assert getattr(trainer, name, None) is None


OPTIMIZER_MISSING = {
    "clipnorm": "clip_norm= to the Trainer",
    "use_ema": "ema= to the Trainer",
    "gradient_accumulation_steps": "accumulate= to the Trainer",
    "decay": "LearningRateScheduler",
}


@pytest.mark.parametrize("name", OPTIMIZER_MISSING)
def test_settings_that_are_the_trainers(name: str) -> None:
    """To set them would have no effect, so it raises."""
    optimizer = own_model().optimizer
    with pytest.raises(TrainingError, match=f"optimizer.{name} cannot be set.*{OPTIMIZER_MISSING[name]}"):
        setattr(optimizer, name, 1)
    with pytest.raises(AttributeError, match=OPTIMIZER_MISSING[name]):
        getattr(optimizer, name)


def test_hyperparameters_by_kerass_names() -> None:
    net = nn.Linear(3, 1)
    groups = [{"params": [net.weight]}, {"params": [net.bias], "lr": 0.01}]
    optimizer = Trainer(net, torch.optim.Adam(groups, lr=0.1), "mse").optimizer
    assert optimizer is not None
    optimizer.beta_1 = 0.5
    optimizer.beta_2.assign(0.75)
    set_value(optimizer.epsilon, 0.001)
    optimizer.weight_decay = np.float32(0.25)
    assert [(g["betas"], round(g["eps"], 6), g["weight_decay"]) for g in optimizer.param_groups] == [
        ((0.5, 0.75), 0.001, 0.25)
    ] * 2
    assert json.loads(json.dumps(optimizer.get_config()))["beta_1"] == 0.5
    with pytest.raises(
        TrainingError, match=r"optimizer.momentum cannot be set on torch's Adam; its hyperparameters are"
    ):
        optimizer.momentum = 0.9
    optimizer.learning_rate.assign(0.2)
    assert [g["lr"] for g in optimizer.param_groups] == [0.2, 0.02]  # groups keep their ratio


def test_a_rate_is_a_float_everywhere() -> None:
    rate = own_model().optimizer.learning_rate  # type: ignore[union-attr]
    assert json.dumps({"lr": rate}) == '{"lr": 0.02}'
    assert f"{rate} {rate:.1e} {rate!r} {round(rate, 1)}" == "0.02 2.0e-02 0.02 0.0"
    for again in (pickle.loads(pickle.dumps(rate)), copy.copy(rate), copy.deepcopy({"a": [rate]})["a"][0]):
        assert type(again) is float
        assert again == 0.02
    assert np.asarray([rate, rate]).tolist() == [0.02, 0.02]
    assert np.asarray(rate).dtype == np.float64
    assert torch.tensor(rate) == 0.02
    assert (torch.ones(2) * rate).tolist() == pytest.approx([0.02, 0.02])
    assert {rate: 1}[0.02] == 1
    assert type(rate * 2) is float
    assert sum([rate, rate]) == 0.04
    assert max(rate, 0.01) == 0.02


def test_a_list_of_rates_is_a_history_and_a_variable_that_was_assigned_follows() -> None:
    optimizer: Any = own_model().optimizer
    kept, rates = optimizer.learning_rate, []
    for rate in (0.1, 0.2):
        optimizer.learning_rate = rate
        rates.append(optimizer.learning_rate)
    assert rates == [0.1, 0.2]
    assert kept.numpy() == kept.value == kept.item() == 0.2
    kept.assign(0.3)
    kept.assign_add(0.1)
    kept.assign_sub(0.2)
    assert optimizer.learning_rate == pytest.approx(0.2)
    optimizer.learning_rate = 0.7
    assert float(kept) == kept + 0 == 0.7
    optimizer.iterations.assign(12)
    assert optimizer.iterations == 12
    assert list(range(20))[optimizer.iterations] == 12


def test_a_callback_that_keeps_rates_can_be_resumed(tmp_path: Path) -> None:
    class Keeps(Callback):
        def __init__(self) -> None:
            super().__init__()
            self.rates: list[Any] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.rates.append(self.model.optimizer.learning_rate)
            self.done = self.model.optimizer.iterations
            logs["rate"] = self.model.optimizer.learning_rate
            self.model.optimizer.learning_rate.assign(0.01 / (epoch + 1))
            if failing and epoch == 1:
                raise ZeroDivisionError

    failing = True
    for _ in range(2):
        keeps = Keeps()
        try:
            history = own_model().fit(
                X, Y, epochs=3, verbose=0, callbacks=[keeps, BackupAndRestore(tmp_path, delete_checkpoint=False)]
            )
        except ZeroDivisionError:
            failing = False
    assert keeps.rates == [0.02, 0.01, 0.005]
    assert history.history["rate"] == keeps.rates
    assert keeps.done == 3


def test_a_learning_rate_that_is_a_schedule() -> None:
    optimizer = own_model().optimizer
    with pytest.raises(
        TrainingError, match=r"expected a number. For a schedule pass a callback to fit: LearningRateScheduler"
    ):
        optimizer.learning_rate = lambda step: 0.1  # type: ignore[union-attr]


def test_calling_the_model_leaves_modes_and_keeps_gradients() -> None:
    """A logger of Grad-CAM images needs gradients; dropout and normalisation must be still."""
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 1))
    net[0].eval()
    trainer = Trainer(net, "sgd", "mse")
    x = torch.tensor(X, requires_grad=True)

    class GradCam(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            modes = [one.training for one in net.modules()]
            first, second = self.model(x), self.model(x)
            assert torch.equal(first, second)
            (gradient,) = torch.autograd.grad(first.sum(), x)
            assert gradient.abs().sum() > 0
            assert not torch.equal(self.model(x, training=True), first)
            assert [one.training for one in net.modules()] == modes

    trainer.fit(X, Y, verbose=0, callbacks=[GradCam()])


def test_layers_can_be_frozen_set_and_found() -> None:
    net = nn.Sequential(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5)), nn.Linear(4, 1))
    trainer = Trainer(net, "sgd", "mse", learning_rate=0.01)
    assert [layer.name for layer in trainer.layers] == ["0.0", "1"]
    for layer in trainer.layers[:-1]:
        layer.trainable = False
    before = trainer.get_weights()
    trainer.fit(X, Y, verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(before, trainer.get_weights(), strict=True)]
    assert same == [True, True, False, False]
    trainer.trainable = False
    assert not trainer.trainable
    trainer.get_layer("0").trainable = True  # a part with its modules
    assert [p.requires_grad for p in net.parameters()] == [True, True, False, False]

    first = trainer.get_layer(index=0)
    first.set_weights([np.ones((4, 3)), np.zeros(4)])
    assert net[0][0].weight.sum() == 12
    with pytest.raises(TrainingError, match=r"layer 0.0: set_weights was given 1 arrays; the module has 2"):
        first.set_weights([np.ones((4, 3))])
    with pytest.raises(TrainingError, match=r"has shape \(4,\), and was given \(5,\)"):
        first.set_weights([np.zeros((4, 3)), np.zeros(5)])
    assert net[0][0].weight.sum() == 12
    trainer.get_layer("0.2").rate = 0.25  # schedules of dropout
    assert net[0][2].p == 0.25
    assert first.units == 4
    with pytest.raises(AttributeError, match=r"the layer '0.0' .*no 'momentum': setting it would have no effect"):
        first.momentum = 0.5
    for name in ("input", "output", "kernel"):
        with pytest.raises(AttributeError, match=f"the layer '0.0' .a Linear. has no '{name}'; "):
            getattr(first, name)


def test_a_module_with_weights_beside_its_modules_does_not_take_them_along() -> None:
    class Token(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.zeros(3))
            self.head = nn.Linear(3, 1)

        def forward(self, x: Any) -> Any:
            return self.head(x + self.token)

    trainer = Trainer(Token(), "sgd", "mse")
    assert [layer.name for layer in trainer.layers] == ["module", "head"]
    for layer in trainer.layers[:-1]:
        layer.trainable = False
    assert [p.requires_grad for p in trainer.module.parameters()] == [False, True, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "takes a name or an index; found name=None, index=None"),
        ({"name": "0", "index": 0}, "takes a name or an index"),
        ({"index": 2}, "there is no layer 2; the module has 2 layers"),
        ({"name": "dense"}, "there is no layer 'dense'; the module's layers are: 0, 1"),
    ],
)
def test_get_layer_without_a_layer(keras: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        own_model().get_layer(**arguments)
    with pytest.raises(ValueError, match="layer"):
        keras_model(keras).get_layer(**arguments)


def test_parameters_of_older_keras(keras: Any) -> None:
    seen: dict[str, Any] = {}

    class Bar(Callback):
        def __init__(self) -> None:  # many do not call Callback.__init__
            self.lines: list[Any] = []

        def on_train_begin(self, logs: Any = {}) -> None:  # noqa: B006
            seen.update({name: self.params[name] for name in ("metrics", "samples", "batch_size", "nb_epoch")})
            assert self.params.get("metrics") == seen["metrics"]
            assert self.params.get("nothing") is None
            assert self.validation_data[0].shape == (4, 3)
            assert self.validation_data[1].shape == (4, 1)
            seen["params"] = dict(self.params)

    own_model(metrics=["mae"]).fit(
        X, Y, epochs=3, batch_size=8, verbose=0, validation_data=(X[:4], Y[:4]), callbacks=[Bar()]
    )
    assert seen == {
        "metrics": ["loss", "mae", "val_loss", "val_mae"],
        "samples": 24,
        "batch_size": 8,
        "nb_epoch": 3,
        "params": {"verbose": 0, "epochs": 3, "steps": 3},
    }
    theirs, trainer = keras.callbacks.Callback(), own_model()
    trainer.fit(X, Y, verbose=0, validation_data=(X[:4], Y[:4]), callbacks=[theirs])
    assert theirs.validation_data[0].shape == (4, 3)
    trainer.fit(X, Y, verbose=0, callbacks=[theirs])
    assert theirs.validation_data is None


def test_validation_data_of_the_callbacks_own_stays() -> None:
    class Recall(Callback):
        def __init__(self, validation_data: Any) -> None:
            super().__init__()
            self.validation_data = validation_data

    own = (X[:2], Y[:2])
    recall = Recall(own)
    own_model().fit(X, Y, verbose=0, validation_data=(X[:4], Y[:4]), callbacks=[recall])
    assert recall.validation_data is own


def test_metrics_can_be_read_and_reset() -> None:
    trainer, seen = own_model(metrics=["mae"]), []

    class Reads(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            figures = self.model.get_metrics_result()
            assert figures == dict(logs)
            assert {m.name: m.result() for m in self.model.metrics} == figures
            seen.append(figures["loss"])
            self.model.reset_metrics()

    history = trainer.fit(X, Y, batch_size=8, shuffle=False, verbose=0, callbacks=[Reads()])
    single = own_model()
    expected = [single.train_on_batch(X[i : i + 8], Y[i : i + 8]) for i in (0, 8, 16)]
    assert seen == pytest.approx(expected, rel=1e-6)
    assert trainer.metrics[0].result() == 0.0
    assert history.epoch == [0]
