"""The names of losses: those of `torch.nn.functional`, and Keras's, in every spelling that Keras accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional

from regraft.errors import TrainingError, did_you_mean
from regraft.training.losses import keras_losses
from regraft.training.losses.targets import Form

Takes = Literal["logits", "probabilities", "any"]


@dataclass(frozen=True)
class NamedLoss:
    """A loss that has a name.

    Attributes:
        function: ``f(output, target)``; torch's take ``reduction``, Keras's return a loss for each sample.
        torch: whether it is one of `torch.nn.functional`.
        takes: the outputs that it takes.
        form: the targets that it takes.
        binary: whether each output is a binary prediction, with targets between 0 and 1.
    """

    function: Callable[..., Tensor]
    torch: bool = False
    takes: Takes = "any"
    form: Form = "same"
    binary: bool = False


def _torch(
    function: Callable[..., Tensor], form: Form = "same", takes: Takes = "any", binary: bool = False
) -> NamedLoss:
    return NamedLoss(function, True, takes, form, binary)


TORCH: dict[str, NamedLoss] = {
    "cross_entropy": _torch(functional.cross_entropy, "classes", "logits"),
    "nll_loss": _torch(functional.nll_loss, "numbers"),
    "binary_cross_entropy": _torch(functional.binary_cross_entropy, "same", "any", binary=True),
    "binary_cross_entropy_with_logits": _torch(
        functional.binary_cross_entropy_with_logits, "same", "logits", binary=True
    ),
    "bce_with_logits": _torch(functional.binary_cross_entropy_with_logits, "same", "logits", binary=True),
    "mse_loss": _torch(functional.mse_loss),
    "l1_loss": _torch(functional.l1_loss),
    "smooth_l1_loss": _torch(functional.smooth_l1_loss),
    "huber_loss": _torch(functional.huber_loss),
    "kl_div": _torch(functional.kl_div),
    "poisson_nll_loss": _torch(functional.poisson_nll_loss),
    "soft_margin_loss": _torch(functional.soft_margin_loss, takes="logits"),
    "multilabel_soft_margin_loss": _torch(functional.multilabel_soft_margin_loss, takes="logits", binary=True),
}

_PROBABILITIES: Takes = "probabilities"

KERAS: dict[str, NamedLoss] = {
    "mean_squared_error": NamedLoss(keras_losses.mean_squared_error),
    "mean_absolute_error": NamedLoss(keras_losses.mean_absolute_error),
    "mean_absolute_percentage_error": NamedLoss(keras_losses.mean_absolute_percentage_error),
    "mean_squared_logarithmic_error": NamedLoss(keras_losses.mean_squared_logarithmic_error),
    "huber": NamedLoss(keras_losses.huber),
    "log_cosh": NamedLoss(keras_losses.log_cosh),
    "poisson": NamedLoss(keras_losses.poisson),
    "kl_divergence": NamedLoss(keras_losses.kl_divergence),
    "cosine_similarity": NamedLoss(keras_losses.cosine_similarity),
    "hinge": NamedLoss(keras_losses.hinge),
    "squared_hinge": NamedLoss(keras_losses.squared_hinge),
    "categorical_hinge": NamedLoss(keras_losses.categorical_hinge, form="hot"),
    "binary_crossentropy": NamedLoss(keras_losses.binary_crossentropy, takes=_PROBABILITIES, binary=True),
    "binary_focal_crossentropy": NamedLoss(keras_losses.binary_focal_crossentropy, takes=_PROBABILITIES, binary=True),
    "categorical_crossentropy": NamedLoss(keras_losses.categorical_crossentropy, takes=_PROBABILITIES, form="hot"),
    "categorical_focal_crossentropy": NamedLoss(
        keras_losses.categorical_focal_crossentropy, takes=_PROBABILITIES, form="hot"
    ),
    "sparse_categorical_crossentropy": NamedLoss(
        keras_losses.sparse_categorical_crossentropy, takes=_PROBABILITIES, form="numbers"
    ),
    "dice": NamedLoss(keras_losses.dice, takes=_PROBABILITIES, binary=True),
    "tversky": NamedLoss(keras_losses.tversky, takes=_PROBABILITIES, binary=True),
    "circle": NamedLoss(keras_losses.circle, form="any"),
}

SHORT = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kullbackleiblerdivergence": "kl_divergence",
    "huberloss": "huber",
    "cosineproximity": "cosine_similarity",
}

#: Keras's losses that have no name here, and how to use them.
MISSING = {
    "ctc": "pass a function of (output, target) that calls torch.nn.functional.ctc_loss with the lengths",
    "crossentropy": "choose one: 'cross_entropy' takes logits, 'sparse_categorical_crossentropy' (class numbers), "
    "'categorical_crossentropy' (one-hot) and 'binary_crossentropy' take probabilities",
    "ce": "choose one: 'cross_entropy' takes logits, 'sparse_categorical_crossentropy' (class numbers), "
    "'categorical_crossentropy' (one-hot) and 'binary_crossentropy' take probabilities",
}


def bare(name: str) -> str:
    """Return a name in lower case and without underscores, so that all spellings of Keras are equal."""
    return name.replace("_", "").lower()


_BY_BARE = {bare(name): name for name in KERAS} | SHORT


def keras_name(name: str) -> str | None:
    """Return Keras's full name of a loss in any spelling, such as ``"MSE"``; None if Keras does not have it."""
    return _BY_BARE.get(bare(name))


def named_loss(name: str) -> NamedLoss:
    """Return the loss called ``name``.

    Raises:
        TrainingError: no loss has that name.
    """
    if name in TORCH:
        return TORCH[name]
    full = keras_name(name)
    if full is not None:
        return KERAS[full]
    known = [*TORCH, *KERAS, *(short for short in SHORT if len(short) < 5)]
    way = MISSING.get(bare(name))
    if way is not None:
        raise TrainingError(f"no loss is called {name!r}\n  {way}")
    raise TrainingError(f"no loss is called {name!r}{did_you_mean(name, known, there_are=known)}")
