"""Train and inference mode: exact around evaluations in hooks, and held where normalisation is frozen."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regraft.callbacks import Callback, LambdaCallback
from regraft.screen import PlainScreen
from regraft.training import Trainer


class Recorded(nn.Module):
    """Notes the modes of all its parts at each forward pass with gradients."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
        self.modes: list[list[bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.modes.append([part.training for part in self.modules()])
        return self.net(x)


def evaluations(x: Tensor, y: Tensor) -> dict[str, Callable[[Trainer], Any]]:
    def failing(trainer: Trainer) -> None:
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            trainer.evaluate(x[:, :3], y, verbose=0)

    def interrupted(trainer: Trainer) -> None:
        def stop(batch: int, logs: Any) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            trainer.evaluate(x, y, verbose=0, callbacks=[LambdaCallback(on_test_batch_end=stop)])

    return {
        "evaluate": lambda trainer: trainer.evaluate(x, y, verbose=0),
        "predict": lambda trainer: trainer.predict(x, verbose=0),
        "test_on_batch": lambda trainer: trainer.test_on_batch(x, y),
        "predict_on_batch": lambda trainer: trainer.predict_on_batch(x),
        "failing": failing,
        "interrupted": interrupted,
    }


NAMES = ("evaluate", "predict", "test_on_batch", "predict_on_batch", "failing", "interrupted")
HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_epoch_begin")


def run(points: Any, hook: str | None, name: str) -> tuple[Recorded, Any]:
    x, y = points
    module = Recorded()
    trainer = Trainer(module, "sgd", "cross_entropy", ["accuracy"])
    action = evaluations(x[:40], y[:40])[name]
    callbacks = [LambdaCallback(**{hook: lambda *_, **__: action(trainer)})] if hook else []
    torch.manual_seed(1)
    history = trainer.fit(x, y, batch_size=64, epochs=2, verbose=0, callbacks=callbacks)
    return module, history.history


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name", NAMES)
def test_an_evaluation_in_a_hook_changes_nothing_of_the_training(points: Any, hook: str, name: str) -> None:
    plain, expected = run(points, None, name)
    module, history = run(points, hook, name)
    assert history == expected
    assert module.modes == plain.modes
    assert len(module.modes) == 8
    assert all(all(modes) for modes in module.modes)
    same = zip(plain.state_dict().values(), module.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [True, False])
def test_an_evaluation_leaves_every_part_in_its_mode(points: Any, name: str, training: bool) -> None:
    x, y = points
    module = Recorded()
    trainer = Trainer(module, "sgd", "cross_entropy")
    module.train(training)
    module.net[1].train(not training)
    before = [part.training for part in module.modules()]
    evaluations(x[:40], y[:40])[name](trainer)
    assert [part.training for part in module.modules()] == before


def test_train_on_batch_and_find_lr_leave_every_part_in_its_mode(points: Any) -> None:
    x, y = points
    module = Recorded()
    trainer = Trainer(module, "sgd", "cross_entropy")
    module.eval()
    trainer.train_on_batch(x, y)
    trainer.find_lr(x, y, steps=3)
    assert not any(part.training for part in module.modules())
    assert all(all(modes) for modes in module.modes)


def test_a_hook_may_put_parts_into_inference_mode(points: Any) -> None:
    module = Recorded()
    trainer = Trainer(module, "sgd", "cross_entropy")
    hold = LambdaCallback(on_epoch_begin=lambda *_, **__: module.net[1].eval())
    evaluate = LambdaCallback(on_train_batch_begin=lambda *_, **__: trainer.evaluate(*points, verbose=0))
    trainer.fit(*points, epochs=2, verbose=0, callbacks=[hold, evaluate])
    place = list(module.modules()).index(module.net[1])
    assert {i for modes in module.modes for i, mode in enumerate(modes) if not mode} == {place}
    assert int(module.net[1].num_batches_tracked) == 0


def test_a_hook_that_forgets_the_module_in_inference_mode(points: Any) -> None:
    module = Recorded()
    trainer = Trainer(module, "sgd", "cross_entropy")
    forgets = LambdaCallback(on_train_batch_end=lambda *_, **__: module.eval())
    trainer.fit(*points, verbose=0, callbacks=[forgets])
    assert all(all(modes) for modes in module.modes)


def test_an_evaluation_does_not_stop_the_one_whose_hook_it_runs_in(points: Any) -> None:
    x, y = points
    trainer = Trainer(Recorded(), "sgd", "cross_entropy")
    seen: list[int] = []

    class Stopping(Callback):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)
            self.model.stop_evaluating = batch == 1
            trainer.evaluate(x[:8], y[:8], verbose=0)

    trainer.evaluate(x, y, verbose=0, callbacks=[Stopping()])
    assert seen == [0, 1]
    seen.clear()
    trainer.evaluate(x, y, verbose=0, callbacks=[LambdaCallback(on_test_batch_end=lambda i, logs: seen.append(i))])
    assert len(seen) == 7


def test_metrics_with_a_state_keep_their_epoch(points: Any, torchmetrics: Any) -> None:
    x, y = points
    score = torchmetrics.classification.MulticlassF1Score(3)

    def history(nested: bool) -> Any:
        trainer = Trainer(Recorded(), "sgd", "cross_entropy", [score])
        look = LambdaCallback(
            on_train_batch_end=lambda *_, **__: nested and trainer.evaluate(x[:50], y[:50], verbose=0)
        )
        torch.manual_seed(0)
        return trainer.fit(x, y, verbose=0, callbacks=[look]).history

    assert history(True) == history(False)


def body_and_head(body: nn.Module) -> nn.Module:
    return nn.Sequential(body, nn.Flatten(), nn.LazyLinear(3))


def image(points: Any) -> tuple[Tensor, Tensor]:
    x, y = points
    return x.reshape(-1, 2, 2, 2) + 3, y


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.BatchNorm2d(4),
        lambda: nn.SyncBatchNorm(4),
        lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        lambda: nn.BatchNorm2d(4, affine=False),
    ],
)
@pytest.mark.parametrize("put_in_eval", [False, True])
def test_frozen_normalisation_keeps_its_statistics(points: Any, layer: Any, put_in_eval: bool) -> None:
    x, y = image(points)
    body = nn.Sequential(nn.Conv2d(2, 4, 1), layer(), nn.Dropout(0.5))
    body.requires_grad_(False)
    body.train(not put_in_eval)
    before = {name: value.clone() for name, value in body.state_dict().items()}
    net = body_and_head(body)
    net(x[:2])
    out = io.StringIO()
    trainer = Trainer(net, "adam", "cross_entropy", screen=PlainScreen(out))
    dropout: list[bool] = []
    look = LambdaCallback(on_train_batch_begin=lambda *_, **__: dropout.append(body[2].training))
    before = {name: value.clone() for name, value in body.state_dict().items()}
    for _ in range(2):
        trainer.fit(x, y, epochs=2, verbose=0, callbacks=[look])
    assert all(torch.equal(value, before[name]) for name, value in body.state_dict().items())
    assert all(dropout)  # as in Keras
    assert out.getvalue().count("1 frozen layer stays in inference mode") == 1
    assert "0.1 (freeze_normalization=False" in out.getvalue()

    trainer = Trainer(
        net, "adam", "cross_entropy", freeze_normalization=False, screen=PlainScreen(out := io.StringIO())
    )
    trainer.fit(x, y, verbose=0)
    assert not torch.equal(body[1].running_mean, before["1.running_mean"])
    assert "inference mode" not in out.getvalue()


def test_timm_and_lazy_normalisation_too(points: Any) -> None:
    from regraft.models.timm_import import import_torchvision

    import_torchvision()
    from timm.layers import BatchNormAct2d

    x, y = image(points)
    body = nn.Sequential(nn.Conv2d(2, 4, 1), BatchNormAct2d(4), nn.LazyBatchNorm2d())
    net = body_and_head(body)
    net(x[:2])
    body.requires_grad_(False)
    before = {name: value.clone() for name, value in body.state_dict().items()}
    Trainer(net, "adam", "cross_entropy").fit(x, y, verbose=0)
    assert all(torch.equal(value, before[name]) for name, value in body.state_dict().items())


def test_the_frozen_statistics_are_those_of_keras(points: Any, keras: Any) -> None:
    x, y = points[0].numpy(), points[1].numpy()
    normal = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    model = keras.Sequential([keras.layers.Input((8,)), normal, keras.layers.Dense(3)])
    own = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 3))
    normal.trainable = False
    own[0].requires_grad_(False)
    with torch.no_grad():
        own[1].weight.copy_(torch.tensor(model.layers[1].get_weights()[0].T))
        own[1].bias.zero_()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    options = {"epochs": 2, "batch_size": 32, "shuffle": False, "verbose": 0}
    expected = model.fit(x, y, **options).history["loss"]
    found = Trainer(own, "sgd", "cross_entropy").fit(x, y, **options).history["loss"]
    assert found == pytest.approx(expected, rel=1e-5)
    assert own[0].running_mean.tolist() == [0.0] * 8 == normal.get_weights()[2].tolist()


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_train_batch_begin", "on_train_batch_end"])
def test_unfrozen_inside_fit_normalisation_trains_again(points: Any, hook: str) -> None:
    norm = nn.BatchNorm1d(8)
    net = nn.Sequential(norm, nn.Linear(8, 3))
    norm.requires_grad_(False)
    trainer = Trainer(net, "sgd", "cross_entropy")
    tracked: list[int] = []

    def unfreeze(at: int, logs: Any = None) -> None:
        tracked.append(int(norm.num_batches_tracked))
        norm.requires_grad_(len(tracked) > 2)

    trainer.fit(*points, epochs=4, batch_size=100, verbose=0, callbacks=[LambdaCallback(**{hook: unfreeze})])
    assert tracked[:3] == [0, 0, 0]
    assert int(norm.num_batches_tracked) == {"on_epoch_begin": 4, "on_train_batch_begin": 6}.get(hook, 5)


def test_frozen_inside_fit_normalisation_is_held(points: Any) -> None:
    norm = nn.BatchNorm1d(8)
    net = nn.Sequential(norm, nn.Linear(8, 3))
    freeze = LambdaCallback(on_epoch_begin=lambda epoch, logs: norm.requires_grad_(epoch < 1))
    Trainer(net, "sgd", "cross_entropy").fit(*points, epochs=3, batch_size=50, verbose=0, callbacks=[freeze])
    assert int(norm.num_batches_tracked) == 4


def test_a_layer_without_parameters_in_a_trained_body_is_trained(points: Any) -> None:
    """An evaluation mode left by an earlier ``fit`` is not a wish to freeze."""
    norm = nn.BatchNorm1d(8, affine=False)
    trainer = Trainer(nn.Sequential(nn.Linear(8, 8), norm, nn.Linear(8, 3)), "sgd", "cross_entropy")
    for _ in range(2):
        trainer.fit(*points, batch_size=50, verbose=0)
    assert int(norm.num_batches_tracked) == 8


def test_a_compiled_module_follows_the_modes(points: Any) -> None:
    x, y = points

    def losses(**options: Any) -> Any:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
        net[0].requires_grad_(False), net[1].requires_grad_(False)
        trainer = Trainer(net, "sgd", "cross_entropy", **options)
        look = LambdaCallback(on_train_batch_end=lambda *_, **__: trainer.predict(x[:32], verbose=0))
        return trainer.fit(x[:192], y[:192], epochs=2, verbose=0, callbacks=[look]).history, net[1].running_mean

    plain, mean = losses()
    compiled, other = losses(compile={"backend": "eager"})
    assert compiled["loss"] == pytest.approx(plain["loss"])
    assert torch.equal(mean, other)


@pytest.mark.parametrize("wrap", [torch.jit.script, lambda net: torch.compile(net, backend="eager")])
def test_wrapped_modules_too(points: Any, wrap: Any) -> None:
    x, y = points
    net = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    net[0].requires_grad_(False), net[1].requires_grad_(False)
    wrapped = wrap(net)
    before = {name: value.clone() for name, value in wrapped.state_dict().items()}
    trainer = Trainer(wrapped, "sgd", "cross_entropy")
    look = LambdaCallback(on_train_batch_end=lambda *_, **__: trainer.predict(x[:8], verbose=0))
    trainer.fit(x[:65], y[:65], epochs=2, verbose=0, callbacks=[look])
    moved = [name for name, value in wrapped.state_dict().items() if not torch.equal(value, before[name])]
    assert [name.removeprefix("_orig_mod.") for name in moved] == ["2.weight", "2.bias"]


def test_training_inside_a_hook_keeps_the_place_of_the_outer_one(points: Any) -> None:
    x, y = points
    trainer = Trainer(Recorded(), "sgd", "cross_entropy", ["accuracy"], learning_rate=0.0, accumulate=3)
    seen: list[Any] = []

    class Nested(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            gradient = self.model.module.net[4].bias.grad
            before = None if gradient is None else gradient.clone()
            self.model.train_on_batch(x[:20], y[:20])
            self.model.fit(x[:20], y[:20], epochs=2, verbose=0)
            self.model.find_lr(x[:40], y[:40], steps=3)
            self.model.optimizer.learning_rate = 0.0
            after = self.model.module.net[4].bias.grad
            assert (before is None and after is None) or torch.equal(before, after)
            seen.append((self.model.epoch, batch, dict(logs)["accuracy"]))

    def history(callbacks: Any) -> Any:
        trainer.module.net[3].p = 0.0
        return trainer.fit(x, y, batch_size=64, epochs=2, verbose=0, shuffle=False, callbacks=callbacks)

    expected = history([])
    found = history([Nested()])
    assert found.history == expected.history
    assert found is trainer.history
    assert found.epoch == [0, 1]
    assert [place[:2] for place in seen] == [(epoch, batch) for epoch in range(2) for batch in range(4)]
    assert not trainer.fitting


def test_hooks_of_an_evaluation_may_use_gradients(points: Any) -> None:
    """A Grad-CAM callback needs them."""
    x, y = points
    trainer = Trainer(Recorded(), "sgd", "cross_entropy")
    found: list[bool] = []
    look = LambdaCallback(on_test_batch_end=lambda *_, **__: found.append(trainer.module(x[:2]).requires_grad))
    trainer.evaluate(x[:32], y[:32], verbose=0, callbacks=[look])
    assert found == [True]


def test_fit_under_no_grad_trains(points: Any) -> None:
    trainer = Trainer(Recorded(), "sgd", "cross_entropy")
    before = trainer.module.net[0].weight.detach().clone()
    with torch.no_grad():
        trainer.fit(*points, verbose=0)
    assert not torch.equal(before, trainer.module.net[0].weight)
