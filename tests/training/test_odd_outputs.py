"""Outputs, losses and modes that would train without an error, and wrongly: each is reported."""

from __future__ import annotations

import io
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from regraft.callbacks import LambdaCallback
from regraft.errors import TrainingError
from regraft.screen import PlainScreen, QuietScreen
from regraft.training import Trainer

X = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def fit(module: nn.Module, loss: object, y: object = Y, metrics: object = None, **more: object) -> Trainer:
    torch.manual_seed(0)
    trainer = Trainer(module, "sgd", loss, metrics, screen=QuietScreen(), **more)
    trainer.fit(X, y, epochs=2, verbose=0)
    return trainer


class Ends(nn.Module):
    """A linear layer and a function."""

    def __init__(self, outputs, end):
        super().__init__()
        self.linear, self.end = nn.Linear(4, outputs), end

    def forward(self, x):
        return self.end(self.linear(x))


@pytest.mark.parametrize(
    ("module", "loss", "y", "found"),
    [
        (nn.Sequential(nn.Linear(4, 2), nn.Softmax(-1)), "cross_entropy", Y, "applies a softmax itself"),
        (nn.Sequential(nn.Linear(4, 2), nn.Softmax(-1)), nn.CrossEntropyLoss(), Y, "applies a softmax itself"),
        (nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()), "bce_with_logits", Y.float(), "applies a sigmoid itself"),
        (Ends(1, lambda x: x.sigmoid().squeeze(1)), "bce_with_logits", Y.float(), "applies a sigmoid itself"),
        (nn.Linear(4, 2), "nll_loss", Y, "nll_loss takes logarithms of probabilities, which are 0 or less"),
        (nn.Linear(4, 2), nn.NLLLoss(), Y, "nllloss takes logarithms of probabilities"),
        (nn.Sequential(nn.Linear(4, 2), nn.Softmax(-1)), "kl_div", nn.functional.one_hot(Y).float(), "takes log"),
    ],
)  # fmt: skip
def test_an_activation_that_does_not_suit_the_loss(module, loss, y, found):
    with pytest.warns(RuntimeWarning, match=found):
        fit(module, loss, y)


@pytest.mark.parametrize(
    ("module", "loss", "y"),
    [
        (nn.Linear(4, 2), "cross_entropy", Y),
        (nn.Sequential(nn.Linear(4, 2), nn.LogSoftmax(-1)), "nll_loss", Y),
        (nn.Sequential(nn.Linear(4, 2), nn.Softmax(-1)), "sparse_categorical_crossentropy", Y),
        (nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()), "binary_crossentropy", Y.float()),
        (Ends(2, lambda x: x.softmax(-1) * 5), "cross_entropy", Y),
    ],
)
def test_an_activation_that_suits_the_loss(module, loss, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(module, loss, y)


@pytest.mark.parametrize("name", ["accuracy", "binary_accuracy"])
def test_an_accuracy_of_values(name):
    with pytest.warns(
        RuntimeWarning, match=f"the metric {name} counts answers of two classes, and the targets go from"
    ):
        fit(nn.Linear(4, 1), "mse", 40 * X[:, :1], [name])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(nn.Linear(4, 1), "mse", Y.float(), [name])


class Proxies(nn.Module):
    """A loss with parameters, as in metric learning."""

    def __init__(self):
        super().__init__()
        self.proxy = nn.Parameter(torch.eye(2))

    def forward(self, output, target):
        return nn.functional.cross_entropy(output @ self.proxy, target)


def test_parameters_of_a_loss_are_trained_or_reported():
    loss, net = Proxies(), nn.Linear(4, 2)
    trainer = Trainer(net, "sgd", loss, screen=PlainScreen(out := io.StringIO()))
    trainer.fit(X, Y, verbose=0)
    assert "the loss Proxies has parameters of its own" in " ".join(out.getvalue().split())
    assert torch.equal(loss.proxy, torch.eye(2))
    trainer = Trainer(
        net, "sgd", loss, parameters=[*net.parameters(), *loss.parameters()], screen=PlainScreen(out := io.StringIO())
    )
    trainer.fit(X, Y, verbose=0)
    assert out.getvalue() == ""
    assert not torch.equal(loss.proxy, torch.eye(2))


def normalized() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))


def test_layers_that_the_user_put_into_inference_mode_are_reported():
    net = normalized()
    net[1].eval()
    net[2].eval()
    trainer = Trainer(net, "sgd", "cross_entropy", screen=PlainScreen(out := io.StringIO()))
    trainer.fit(X, Y, epochs=2, verbose=0)
    said = " ".join(out.getvalue().split())
    assert said.count("2 layers were in inference mode, and fit puts the module into train mode: 1, 2") == 1
    trainer.fit(X, Y, verbose=0)
    assert " ".join(out.getvalue().split()) == said


def test_a_callback_puts_layers_into_inference_mode():
    net = normalized()
    trainer = Trainer(net, "sgd", "cross_entropy", screen=PlainScreen(out := io.StringIO()))
    off = LambdaCallback(on_epoch_begin=lambda epoch, logs: net[1].eval())
    trainer.fit(X, Y, epochs=2, verbose=0, callbacks=[off])
    assert not net[1].running_mean.any()
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"shuffle": True}, "a random order, and returns the outputs in that order"),
        ({"drop_last": True}, "out 2 of 32"),
    ],
)
def test_predictions_of_a_loader_that_mixes_or_drops_samples(options, found):
    dataset = torch.utils.data.TensorDataset(X, Y)
    trainer = Trainer(nn.Linear(4, 2), screen=QuietScreen())
    with pytest.warns(RuntimeWarning, match=found):
        trainer.predict(torch.utils.data.DataLoader(dataset, batch_size=10, **options), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.predict(torch.utils.data.DataLoader(dataset, batch_size=10), verbose=0)
        trainer.predict(torch.utils.data.DataLoader(dataset, batch_size=8, drop_last=True), verbose=0)


class Named(nn.Module):
    """A module that returns a dict of one output, as those of Hugging Face, or an object."""

    def __init__(self, kind):
        super().__init__()
        self.linear, self.kind = nn.Linear(4, 2), kind

    def forward(self, image):
        logits = self.linear(image)
        return {"dict": {"logits": logits}, "tuple": (logits,), "object": SimpleNamespace(logits=logits)}[self.kind]


@pytest.mark.parametrize("kind", ["dict", "tuple"])
def test_a_dict_or_tuple_of_one_output_is_that_output(kind):
    trainer = fit(Named(kind), "cross_entropy", metrics=["accuracy"])
    loss, accuracy = trainer.evaluate(X, Y, verbose=0)
    logits = trainer.module.linear(X)
    assert loss == pytest.approx(nn.functional.cross_entropy(logits, Y).item(), rel=1e-6)
    assert accuracy == (logits.argmax(-1) == Y).float().mean()


def test_a_function_of_the_user_gets_the_dict_of_one_output():
    fit(Named("dict"), lambda outputs, target: nn.functional.cross_entropy(outputs["logits"], target))


def test_outputs_and_batches_that_the_module_or_the_loss_cannot_use():
    with pytest.raises(TrainingError, match="needs a tensor, and the module returns a SimpleNamespace\n  wrap it"):
        fit(Named("object"), "cross_entropy")
    trainer = Trainer(Named("dict"), "sgd", "cross_entropy", screen=QuietScreen())
    with pytest.raises(TrainingError, match=r"the module does not take image, label: .*\n  let the data yield"):
        trainer.fit([{"image": X, "label": Y}], verbose=0)
    with pytest.raises(TrainingError, match="the metric both returns a dict; expected a number"):

        def both(output, target):
            return {"mean": output.mean()}

        fit(nn.Linear(4, 2), "cross_entropy", metrics=[both])


def test_outputs_of_different_shapes_cannot_be_joined():
    widths = iter((1, 2, 3))
    trainer = Trainer(Ends(1, lambda x: x.expand(len(x), next(widths))), screen=QuietScreen())
    with pytest.raises(TrainingError, match=r"different shapes, so they cannot be joined: \(20, 1\), \(12, 2\)"):
        trainer.predict(X, batch_size=20, verbose=0)
