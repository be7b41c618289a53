"""Modules with auxiliary outputs in training, as torchvision's inception_v3 and googlenet."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from regraft.callbacks import EarlyStopping
from regraft.errors import TrainingError
from regraft.screen import PlainScreen
from regraft.training import Trainer


class Outputs(NamedTuple):
    logits: Tensor
    aux_logits: Tensor


class Auxiliary(nn.Module):
    """Gives two outputs in training and one in inference; dropout shows whether a look takes random numbers."""

    def __init__(self, kind: str = "namedtuple", always: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.always = kind, always
        self.body = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.3))
        self.main, self.aux = nn.Linear(16, 3), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Any:
        h = self.body(x)
        if not (self.training or self.always):
            return self.main(h)
        if self.kind == "dict":
            return {"out": self.main(h), "aux": self.aux(h)}
        return Outputs(self.main(h), self.aux(h)) if self.kind == "namedtuple" else (self.main(h), self.aux(h))


def by_hand(points: Any, factor: float, epochs: int = 2) -> tuple[nn.Module, list[float], list[float]]:
    """Train in a plain loop with ``main + factor * aux``; return the module, its losses and its validation losses."""
    x, y = points
    module = Auxiliary("tuple")
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    losses, tests = [], []
    torch.manual_seed(3)
    for _ in range(epochs):
        module.train()
        total = 0.0
        for part, target in zip(x[:150].split(32), y[:150].split(32), strict=True):
            optimizer.zero_grad()
            main, aux = module(part)
            loss = functional.cross_entropy(main, target)
            if factor:
                loss = loss + factor * functional.cross_entropy(aux, target)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(part)
        losses.append(total / 150)
        module.eval()
        with torch.no_grad():
            tests.append(functional.cross_entropy(module(x[150:]), y[150:]).item())
    return module, losses, tests


def whole(outputs: Any, target: Tensor) -> Tensor:
    if isinstance(outputs, Tensor):
        return functional.cross_entropy(outputs, target)
    main, aux = outputs.values() if isinstance(outputs, dict) else outputs
    return functional.cross_entropy(main, target) + 0.4 * functional.cross_entropy(aux, target)


@pytest.mark.parametrize("kind", ["tuple", "namedtuple", "dict"])
@pytest.mark.parametrize(
    ("loss", "loss_weights", "factor"),
    [
        ("cross_entropy", None, 0.0),
        (nn.CrossEntropyLoss(), None, 0.0),
        (["cross_entropy", None], None, 0.0),
        (["cross_entropy", "cross_entropy"], None, 1.0),
        (["cross_entropy", "cross_entropy"], [1, 0.4], 0.4),
        ("cross_entropy", [1, 0.4], 0.4),
        (whole, None, 0.4),
    ],
)
def test_training_equals_a_plain_loop(points: Any, kind: str, loss: Any, loss_weights: Any, factor: float) -> None:
    x, y = points
    expected, losses, tests = by_hand(points, factor)
    out = io.StringIO()
    trainer = Trainer(
        Auxiliary(kind),
        "sgd",
        loss,
        ["accuracy"],
        loss_weights=loss_weights,
        learning_rate=0.1,
        screen=PlainScreen(out),
    )
    torch.manual_seed(3)
    stop = EarlyStopping("val_accuracy", patience=5)
    history = trainer.fit(
        x, y, epochs=2, shuffle=False, verbose=0, validation_split=0.25, validation_batch_size=50, callbacks=[stop]
    ).history
    same = zip(expected.state_dict().values(), trainer.module.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert history["loss"] == pytest.approx(losses)
    assert history["val_loss"] == pytest.approx(tests)
    hits = (expected(x[150:]).argmax(1) == y[150:]).float().mean()
    assert history["val_accuracy"][-1] == pytest.approx(float(hits))
    assert out.getvalue().count("2 in training, 1 in inference; the first is the main one") == 1
    assert trainer.predict(x, verbose=0).shape == (200, 3)


@pytest.mark.parametrize("kind", ["namedtuple", "dict"])
def test_losses_and_metrics_by_output(points: Any, kind: str) -> None:
    x, y = points
    main, aux = ("out", "aux") if kind == "dict" else ("output_0", "output_1")
    loss: Any = {aux: "cross_entropy", main: "cross_entropy"} if kind == "dict" else ["cross_entropy", "cross_entropy"]
    weights: Any = {aux: 0.3} if kind == "dict" else [1.0, 0.3]
    metrics = {main: ["accuracy"], aux: ["accuracy"]}
    trainer = Trainer(Auxiliary(kind), "sgd", loss, metrics, loss_weights=weights)
    history = trainer.fit(x, y, verbose=0, validation_split=0.25, sample_weight=torch.ones(200)).history
    expected = ["loss", f"{main}_loss", f"{aux}_loss", f"{main}_accuracy", f"{aux}_accuracy"]
    assert list(history) == [*expected, "val_loss", f"val_{main}_loss", f"val_{main}_accuracy"]
    assert history["loss"][0] == pytest.approx(history[f"{main}_loss"][0] + 0.3 * history[f"{aux}_loss"][0])
    assert history["val_loss"] == history[f"val_{main}_loss"]

    fresh = Trainer(Auxiliary(kind), None, loss, metrics, loss_weights=weights)
    before = [value.clone() for value in fresh.module.state_dict().values()]
    state = torch.get_rng_state()
    alone = Trainer(Auxiliary(kind), None, "cross_entropy", ["accuracy"])
    torch.set_rng_state(state)
    found = fresh.evaluate(x, y, verbose=0, return_dict=True)
    assert list(found.values())[::2] == alone.evaluate(x, y, verbose=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(before, fresh.module.state_dict().values(), strict=True))


def test_the_look_at_the_outputs_leaves_no_trace(points: Any) -> None:
    """Always-on dropout draws random numbers in inference too."""

    class Noisy(Auxiliary):
        def forward(self, x: Tensor) -> Any:
            return super().forward(functional.dropout(x, 0.2, training=True))

    x, y = points
    plain = Noisy("tuple")
    optimizer = torch.optim.SGD(plain.parameters(), 0.1)
    torch.manual_seed(3)
    for part, target in zip(x.split(50), y.split(50), strict=True):
        optimizer.zero_grad()
        functional.cross_entropy(plain.train()(part)[0], target).backward()
        optimizer.step()
    trainer = Trainer(Noisy("tuple"), "sgd", "cross_entropy", learning_rate=0.1)
    torch.manual_seed(3)
    trainer.fit(x, y, batch_size=50, shuffle=False, verbose=0)
    same = zip(plain.state_dict().values(), trainer.module.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


def test_several_outputs_in_inference_too_need_to_be_told(points: Any) -> None:
    x, y = points
    module = Auxiliary("tuple", always=True)
    with pytest.raises(
        TrainingError, match=r"several outputs, but there is one target, a Tensor; give a target for each"
    ):
        Trainer(module, "sgd", "cross_entropy").fit(x, y, verbose=0)
    with pytest.raises(TrainingError, match=r"in inference too; name the output: metrics=\{'output_0': \[...\]\}"):
        Trainer(module, "sgd", whole, ["accuracy"]).fit(x, y, verbose=0)
    # the advice of both messages
    for loss in (["cross_entropy", None], whole):
        trainer = Trainer(module, "sgd", loss, metrics={"output_0": ["accuracy"]})
        history = trainer.fit(x, y, verbose=0, validation_split=0.25).history
        hits = (module(x[150:])[0].argmax(1) == y[150:]).float().mean()
        assert history["val_output_0_accuracy"] == [pytest.approx(float(hits))]


def test_losses_by_output_for_a_module_of_one(points: Any) -> None:
    for run in ("fit", "evaluate"):
        trainer = Trainer(nn.Linear(8, 3), "sgd", ["cross_entropy", "cross_entropy"])
        with pytest.raises(TrainingError, match="loss is given by output, but the module has one output"):
            getattr(trainer, run)(*points, verbose=0)
    trainer = Trainer(Auxiliary(), "sgd", [None, "cross_entropy"])
    with pytest.raises(TrainingError, match="main output, 'output_0', has no loss, and the module has no other"):
        trainer.fit(*points, verbose=0, validation_split=0.2)


@pytest.mark.parametrize(
    ("loss", "weights", "message"),
    [
        ("cross_entropy", [1.0], "loss_weights has 1 factors, but the module has more outputs; give one for each"),
        (
            ["cross_entropy"] * 3,
            None,
            r"loss is given for 3 outputs, by position, but the module has 2: \['output_0', 'out",
        ),
        (
            {"output_0": "cross_entropy", "oops": "mse"},
            None,
            r"2 outputs, \['output_0', 'oops'\], but the module has 2",
        ),
    ],
)
def test_losses_and_factors_that_no_output_has(points: Any, loss: Any, weights: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Trainer(Auxiliary(), "sgd", loss, loss_weights=weights).fit(*points, verbose=0)


def test_the_report_names_a_way_that_works(points: Any) -> None:
    class Three(Auxiliary):
        def forward(self, x: Tensor) -> Any:
            outputs = super().forward(x)
            return (*outputs, outputs[1]) if self.training else outputs

    out = io.StringIO()
    Trainer(Three("tuple"), "sgd", "cross_entropy", screen=PlainScreen(out)).fit(*points, verbose=0)
    assert "3 in training, 1 in inference" in out.getvalue()
    assert "(loss_weights=[1, 0.4, 0.4] trains the others too)" in out.getvalue()
    trainer = Trainer(Three("tuple"), "sgd", "cross_entropy", loss_weights=[1, 0.4, 0.4])
    history = trainer.fit(*points, verbose=0).history
    parts = [history[f"output_{i}_loss"][0] for i in range(3)]
    assert history["loss"][0] == pytest.approx(parts[0] + 0.4 * parts[1] + 0.4 * parts[2])
