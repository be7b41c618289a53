"""Objects and functions of other libraries: the library that they come from, and the argument that they take first."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from regraft.errors import TrainingError
from regraft.training.pytree import to_numpy

KERAS = ("keras", "tf_keras", "tensorflow", "keras_core")
#: Libraries whose functions compute on arrays of a whole data set, not on the tensors of a batch.
ARRAY_LIBRARIES = ("sklearn", "scipy", "numpy", "pandas")

TARGET = {
    "y_true", "true", "y_gt", "target", "targets", "label", "labels", "truth", "ground_truth", "gt", "actual",
    "expected", "y_target", "y_targets", "y_label", "y_labels", "trues", "true_labels", "true_y", "ytrue", "y_actual",
}  # fmt: skip
OUTPUT = {
    "y_pred", "y_hat", "yhat", "pred", "preds", "prediction", "predictions", "predicted", "output", "outputs", "out",
    "input", "inputs", "logit", "logits", "score", "scores", "prob", "probs", "y_prob", "y_score", "y_preds", "ypred",
    "probabilities", "y_logits", "y_predicted", "pred_y",
}  # fmt: skip


def libraries_of(value: Any) -> set[str]:
    """Return the top-level packages that a function, or the classes of an object, come from."""
    value = unwrapped(value)
    if isinstance(value, np.ufunc):
        return {"numpy"}
    own = getattr(value, "__module__", None) if inspect.isroutine(value) or isinstance(value, type) else None
    if isinstance(own, str):
        return {own.partition(".")[0]}
    return {kind.__module__.partition(".")[0] for kind in type(value).__mro__ if kind is not object}


def unwrapped(value: Any) -> Any:
    """Return the function inside `functools.partial` objects and bound methods."""
    while isinstance(value, functools.partial):
        value = value.func
    return getattr(value, "__func__", value) if inspect.ismethod(value) else value


def is_keras(value: Any) -> bool:
    """Return whether ``value`` comes from Keras, or is an object of a subclass of Keras's classes."""
    return bool(libraries_of(value) & set(KERAS))


def takes_target_first(function: Any) -> bool:
    """Return whether a loss or metric takes the target before the output, as Keras's do.

    Keras's functions take the target first. For others, the names of the first two parameters decide, such as
    ``(y_true, y_pred)``; with other names the order is torch's, ``(output, target)``.
    """
    if is_keras(function):
        return True
    names = _first_parameters(function.forward if isinstance(function, nn.Module) else function)
    if len(names) < 2:
        return False
    first, second = names[0], names[1]
    if first in TARGET:
        return second not in TARGET
    if second in OUTPUT:
        return first not in OUTPUT
    return False


def _first_parameters(function: Any) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name.lower() for p in parameters if p.kind in positional][:2]


def refuse_array_functions(value: Any, role: str) -> None:
    """Check that ``value`` computes on the tensors of a batch.

    Args:
        value: a function.
        role: ``"loss"`` or ``"metric"``.

    Raises:
        TrainingError: it comes from scikit-learn, SciPy, NumPy or pandas.
    """
    library = next(iter(libraries_of(value) & set(ARRAY_LIBRARIES)), None)
    if library is None:
        return
    name = f"{library}'s {getattr(unwrapped(value), '__name__', value)}"
    if role == "loss":
        raise TrainingError(
            f"loss is {name}, which has no gradient; expected a name, a torch loss or a function of tensors"
        )
    raise TrainingError(
        f"metrics contains {name}, which takes arrays of a whole data set, labels first; its mean over batches would "
        "have another value\n  use a name such as 'F1Score' or 'AUC', an object of torchmetrics, or call it on "
        "model.predict(x) after fit"
    )


def keras_backend(value: Any) -> str:
    """Return the backend that Keras's ``value`` computes with, such as ``"torch"`` or ``"tensorflow"``."""
    libraries = libraries_of(value)
    if libraries & {"tf_keras", "tensorflow"}:
        return "tensorflow"
    keras: Any = sys.modules.get("keras") or sys.modules.get("keras_core")
    return str(keras.backend.backend()) if keras is not None else "torch"


def keras_loss_function(value: Any) -> Callable[..., Any]:
    """Return Keras's loss ``value``, after checking that Keras computes with torch, which the gradient needs.

    Raises:
        TrainingError: Keras has another backend.
    """
    backend = keras_backend(value)
    if backend != "torch":
        name = getattr(unwrapped(value), "__name__", type(value).__name__)
        raise TrainingError(
            f"the loss {name} of Keras computes with {backend}, so torch has no gradient of it\n  set "
            "KERAS_BACKEND=torch before Keras is imported, or pass the name of the loss"
        )
    return value  # type: ignore[no-any-return]


def for_keras(value: Any, backend: str) -> Any:
    """Return a tensor in the form for Keras's backend: unchanged for torch, otherwise as an array on the host."""
    return value if backend == "torch" else to_numpy(value)


def from_keras(value: Any) -> Any:
    """Return a value of Keras as a tensor, a number or an array, or a dict or list of them."""
    if isinstance(value, dict):
        return {str(name): from_keras(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [from_keras(one) for one in value]
    if isinstance(value, Tensor):
        return value.detach().clone()  # it may be a variable, which the next batch changes
    return value if isinstance(value, (int, float)) else np.array(value)


def has_reduction(function: Any) -> bool:
    """Return whether ``function`` takes ``reduction``, as the losses of torch do."""
    try:
        return "reduction" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
