"""What is trainable now is what is trained: stages, unfreezing in callbacks, moving average, snapshots."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from regraft.callbacks import BackupAndRestore, Callback, LambdaCallback
from regraft.errors import TrainingError
from regraft.screen import PlainScreen
from regraft.training import Snapshots, Trainer, discriminative_groups

OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam")


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def frozen_body() -> nn.Sequential:
    net = network()
    net[0].requires_grad_(False)
    return net


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(module: nn.Module, before: dict[str, torch.Tensor]) -> list[str]:
    return [name for name, value in module.state_dict().items() if not torch.equal(value, before[name])]


BODY, HEAD = ["0.weight", "0.bias"], ["2.weight", "2.bias"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_two_stages_of_a_lesson(points: Any, name: str) -> None:
    """The second stage equals that of a torch loop in which all parameters were in the optimizer all along."""
    x, y = points
    net, out = frozen_body(), io.StringIO()
    trainer = Trainer(net, name, "cross_entropy", screen=PlainScreen(out))
    start = weights(net)
    trainer.fit(x, y, epochs=2, verbose=0, shuffle=False)
    assert moved(net, start) == HEAD
    net[0].requires_grad_(True)
    trainer.fit(x, y, epochs=2, verbose=0, shuffle=False)
    trainer.fit(x, y, epochs=1, verbose=0, shuffle=False)
    assert moved(net, start) == BODY + HEAD
    assert out.getvalue().count("2 parameters are trained from now on: 0.weight, 0.bias") == 1

    plain = frozen_body()
    options = {k: v for k, v in trainer.optimizer.torch.defaults.items() if k != "decoupled_weight_decay"}
    optimizer = type(trainer.optimizer.torch)([*plain[2].parameters(), *plain[0].parameters()], **options)
    for epoch in range(5):
        plain[0].requires_grad_(epoch >= 2)
        for part, target in zip(x.split(32), y.split(32), strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(plain(part), target).backward()
            optimizer.step()
    assert moved(net, weights(plain)) == []


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end"])
@pytest.mark.parametrize("ema", [None, 0.9])
def test_unfreezing_inside_fit(points: Any, hook: str, ema: float | None) -> None:
    net = frozen_body()
    trainer = Trainer(net, "adam", "cross_entropy", ema=ema)
    start = weights(net)
    unfreeze = LambdaCallback(**{hook: lambda *_, **__: net[0].requires_grad_(True)})
    trainer.fit(*points, epochs=2, verbose=0, callbacks=[unfreeze])
    assert moved(net, start) == BODY + HEAD
    assert len(trainer.optimizer.param_groups) == 1
    trainer.train_on_batch(*points)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("ema", [None, 0.5])
@pytest.mark.parametrize("inside", [False, True])
def test_frozen_later_keeps_still(points: Any, name: str, ema: float | None, inside: bool) -> None:
    """In spite of momentum, weight decay, clipping, gradients that wait, and the moving average."""
    net, out = network(), io.StringIO()
    trainer = Trainer(net, name, "cross_entropy", ema=ema, clip_norm=1.0, accumulate=2, screen=PlainScreen(out))
    trainer.fit(*points, epochs=1, verbose=0)
    kept: dict[str, torch.Tensor] = {}

    def freeze(*_: Any, **__: Any) -> None:
        net[0].requires_grad_(False)
        kept.update({} if kept else weights(net))

    if not inside:
        freeze()
    callbacks = [LambdaCallback(on_train_batch_end=freeze)] if inside else []
    trainer.fit(*points, epochs=2, verbose=0, callbacks=callbacks)
    assert moved(net, kept) == HEAD
    assert out.getvalue().count("2 parameters are no longer trained: 0.weight, 0.bias") == 1
    trainer.train_on_batch(*points)
    trainer.find_lr(*points, steps=3)
    assert [name for name in BODY if name in moved(net, kept)] == []


def test_frozen_after_the_last_batch_of_an_update_that_waits(points: Any) -> None:
    """The length of a generator is not known, so that the update comes after the hook of the last batch."""
    x, y = points
    net = network()
    trainer = Trainer(net, "adam", "cross_entropy", accumulate=3)
    kept: dict[str, torch.Tensor] = {}

    def freeze(batch: int, logs: Any) -> None:
        if batch == 6:
            net[0].requires_grad_(False)
            kept.update(weights(net))

    trainer.fit(
        (part for part in zip(x.split(32), y.split(32), strict=True)),
        verbose=0,
        callbacks=[LambdaCallback(on_train_batch_end=freeze)],
    )
    assert moved(net, kept) == HEAD


def test_a_head_that_was_replaced_is_trained(points: Any) -> None:
    net = network()
    trainer = Trainer(net, "adam", "cross_entropy", ema=0.9)
    trainer.fit(*points, verbose=0)
    old = net[2]
    net[2] = nn.Linear(8, 3)
    start = weights(net)
    trainer.fit(*points, verbose=0)
    assert moved(net, start) == BODY + HEAD
    held = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in net.parameters()}
    assert not any(p in trainer.optimizer.torch.state for p in old.parameters())


def test_a_function_that_builds_groups_builds_them_for_new_parameters(points: Any) -> None:
    def build(parameters: Any) -> torch.optim.Optimizer:
        parameters = list(parameters)
        decayed, others = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim == 1]
        return torch.optim.AdamW([{"params": decayed, "weight_decay": 0.3}, {"params": others, "weight_decay": 0.0}])

    net = frozen_body()
    trainer = Trainer(net, build, "cross_entropy")
    scheduler = torch.optim.lr_scheduler.ExponentialLR(trainer.optimizer.torch, 0.5)
    trainer.fit(*points, verbose=0, callbacks=[scheduler])
    net[0].requires_grad_(True)
    trainer.fit(*points, verbose=0)
    groups = trainer.optimizer.param_groups
    assert [[p.ndim for p in group["params"]] for group in groups] == [[2, 2], [1, 1]]
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]
    assert {group["lr"] for group in groups} == {0.0005}


@pytest.mark.parametrize("how", ["object", "parameters", "groups"])
def test_the_users_choice_of_parameters_is_kept_and_the_rest_is_reported(points: Any, how: str) -> None:
    net, out = frozen_body(), io.StringIO()
    options: dict[str, Any] = {"screen": PlainScreen(out)}
    if how == "object":
        trainer = Trainer(net, torch.optim.Adam(net[2].parameters()), "cross_entropy", **options)
    else:
        given = discriminative_groups(net, 1e-3) if how == "groups" else net[2].parameters()
        trainer = Trainer(net, "adam", "cross_entropy", parameters=given, **options)
    trainer.fit(*points, verbose=0)
    assert out.getvalue() == ""
    net[0].requires_grad_(True)
    start = weights(net)
    for _ in range(2):
        trainer.fit(*points, verbose=0)
    assert moved(net, start) == HEAD
    assert out.getvalue().count("no group of the optimizer, and will not change: 0.weight, 0.bias; freeze them") == 1


def test_an_optimizer_over_everything_trains_what_is_unfrozen(points: Any) -> None:
    net, out = frozen_body(), io.StringIO()
    trainer = Trainer(net, torch.optim.SGD(net.parameters(), 0.1), "cross_entropy", screen=PlainScreen(out))
    trainer.fit(*points, verbose=0)
    net[0].requires_grad_(True)
    start = weights(net)
    trainer.fit(*points, verbose=0)
    assert moved(net, start) == BODY + HEAD
    assert "in no group" not in out.getvalue()


def test_an_optimizer_without_the_trainable_parameters(points: Any) -> None:
    net = network()
    trainer = Trainer(net, torch.optim.SGD(net[2].parameters(), 0.1), "cross_entropy")
    net[2].requires_grad_(False)
    with pytest.raises(TrainingError, match=r"contains none of the trainable parameters \(0.weight, 0.bias\); pass"):
        trainer.fit(*points, verbose=0)


def test_a_loss_that_no_trainable_parameter_has_part_in(points: Any) -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x).detach()

    with pytest.raises(TrainingError, match=r"does not depend on a trainable parameter.*torch.no_grad"):
        Trainer(Detached(), "sgd", "cross_entropy").fit(*points, verbose=0)


def test_moving_average_of_stages_by_its_formula(points: Any) -> None:
    x, y = points
    net = frozen_body()
    trainer = Trainer(net, "sgd", "cross_entropy", learning_rate=0.1, ema=0.8)
    average: dict[str, torch.Tensor] = {}
    for number, (part, target) in enumerate(zip(x.split(20), y.split(20), strict=True)):
        net[0].requires_grad_(3 <= number < 7)
        previous = weights(net)
        trainer.train_on_batch(part, target)
        for name, parameter in net.named_parameters():
            if not parameter.requires_grad:
                average.pop(name, None)
                continue
            first = parameter if number == 0 else previous[name]
            average[name] = 0.8 * average.get(name, first.detach().clone()) + 0.2 * parameter.detach()
        found = dict(zip(trainer.ema.state_dict()["average"], trainer.ema.average, strict=True))
        assert list(found) == [name for name, p in net.named_parameters() if p.requires_grad]
        for name, value in average.items():
            torch.testing.assert_close(found[name], value)


class Stages(Callback):
    """Unfreezes the body at the beginning of an epoch, as a lesson's callback does, and freezes the head later."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = net

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            self.net[0].requires_grad_(True)
        if epoch == 3:
            self.net[2].requires_grad_(False)


class Killed(Exception):
    pass


def killing(at: int | None) -> Callback:
    """Return a callback that raises at batch number ``at`` of the process."""
    seen = [0]

    def count(*_: Any, **__: Any) -> None:
        if seen[0] == at:
            raise Killed
        seen[0] += 1

    return LambdaCallback(on_train_batch_begin=count)


@pytest.fixture(scope="module")
def whole() -> dict[tuple[str, str], Any]:
    """The weights after trainings that nothing interrupted, once one test has computed them."""
    return {}


@pytest.mark.parametrize("at", [3, 9, 12, 19, 23, 27, 31])
@pytest.mark.parametrize("name", ["adam", "adagrad"])
@pytest.mark.parametrize("how", ["resume", "backup"])
def test_stages_are_resumed_to_the_same_weights(
    points: Any, whole: dict[tuple[str, str], Any], tmp_path: Path, at: int, name: str, how: str
) -> None:
    def run(folder: Path, killed_at: int | None) -> Any:
        net = frozen_body()
        trainer = Trainer(net, name, "cross_entropy", ema=0.9, accumulate=2)
        backup = [BackupAndRestore(folder, save_freq=1, delete_checkpoint=False)] if how == "backup" else []
        options = {} if backup else {"resume": Snapshots(folder, every=1e-6)}
        trainer.fit(*points, epochs=5, verbose=0, callbacks=[Stages(net), killing(killed_at), *backup], **options)
        return weights(net)

    if (name, how) not in whole:
        whole[name, how] = run(tmp_path / "whole", None)
    expected = whole[name, how]
    with pytest.raises(Killed):
        run(tmp_path / "cut", at)
    found = run(tmp_path / "cut", None)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_unfreezing_in_the_script_counts_more_than_the_snapshot(points: Any, tmp_path: Path) -> None:
    """A second stage that resumes from the end of the first must not be frozen again by it."""
    net = frozen_body()
    Trainer(net, "adam", "cross_entropy").fit(*points, epochs=2, verbose=0, resume=tmp_path)
    net[0].requires_grad_(True)
    trainer = Trainer(net, "adam", "cross_entropy")
    start = weights(net)
    trainer.fit(*points, epochs=4, verbose=0, resume=tmp_path)
    assert trainer.history.epoch == [0, 1, 2, 3]
    assert moved(net, start) == BODY + HEAD


def test_the_state_of_an_optimizer_goes_by_name(points: Any, tmp_path: Path) -> None:
    """Both layers have the same shapes: by position the state would silently reach the other one."""

    def square() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))

    x = points[0]
    staged = square()
    staged[0].requires_grad_(False)
    first = Trainer(staged, "adam", "mse")
    first.fit(x, x, verbose=0)
    staged[0].requires_grad_(True)
    first.fit(x, x, verbose=0)
    first.save(tmp_path / "state.safetensors")
    second = Trainer(square(), "adam", "mse")
    second.load(tmp_path / "state.safetensors")
    for name, parameter in second.module.named_parameters():
        state = first.optimizer.torch.state[dict(staged.named_parameters())[name]]
        assert torch.equal(second.optimizer.torch.state[parameter]["exp_avg"], state["exp_avg"])
        assert second.optimizer.torch.state[parameter]["step"] == state["step"]
    first.fit(x, x, verbose=0), second.fit(x, x, verbose=0)
    assert moved(staged, weights(second.module)) == []


@pytest.mark.parametrize("name", ["adam", "adagrad"])
def test_a_state_with_fewer_or_more_parameters_is_restored_by_name(points: Any, tmp_path: Path, name: str) -> None:
    net = frozen_body()
    trainer = Trainer(net, name, "cross_entropy", ema=0.9)
    trainer.fit(*points, verbose=0)
    trainer.save(tmp_path / "head.safetensors")
    net[0].requires_grad_(True)
    trainer.fit(*points, verbose=0)
    trainer.save(tmp_path / "all.safetensors")

    whole = Trainer(network(), name, "cross_entropy", ema=0.9)
    whole.load(tmp_path / "head.safetensors")
    whole.fit(*points, verbose=0)
    assert moved(whole.module, weights(net)) == []

    part = Trainer(frozen_body(), name, "cross_entropy", ema=0.9)
    part.load(tmp_path / "all.safetensors")
    before = weights(part.module)
    part.fit(*points, verbose=0)
    assert moved(part.module, before) == HEAD


def test_a_state_of_other_groups_is_refused(points: Any, tmp_path: Path) -> None:
    net = network()
    Trainer(net, "adam", "cross_entropy", parameters=discriminative_groups(net, 1e-3)).save(tmp_path / "two.pt")
    net = network()
    one = Trainer(net, "adam", "cross_entropy")
    with pytest.raises(TrainingError, match=r"(?s)2 groups were saved; this optimizer has 1.*load the weights alone"):
        one.load(tmp_path / "two.pt")
    groups = [{"params": list(net[2].parameters())}, {"params": list(net[0].parameters())}]
    with pytest.raises(TrainingError, match=r"0.weight was in group 0, but is now in group 1"):
        Trainer(net, "adam", "cross_entropy", parameters=groups).load(tmp_path / "two.pt")
    one.save(tmp_path / "one.pt")
    head = Trainer(net, torch.optim.Adam(net[2].parameters()), "cross_entropy")
    with pytest.raises(TrainingError, match=r"saved, but in no group of this optimizer: 0.bias, 0.weight"):
        head.load(tmp_path / "one.pt")
    head.save(tmp_path / "head.pt")
    with pytest.raises(TrainingError, match=r"in this optimizer, but not saved: 0.weight, 0.bias"):
        Trainer(net, torch.optim.Adam(net.parameters()), "cross_entropy").load(tmp_path / "head.pt")
