"""The optimizer for a name, an object or a function, with Keras's defaults; parameter groups with a rate per block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any

import torch
from torch import nn

from regraft.errors import TrainingError, did_you_mean
from regraft.training.optimizers.keras_optimizers import Lamb, Lion, Muon
from regraft.training.optimizers.optimizer_view import OptimizerView
from regraft.training.third_party import is_keras

#: The class of each name, and the arguments that reproduce Keras's defaults.
BY_NAME: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"lr": 0.01}),
    "momentum": (torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}),
    "nesterov": (torch.optim.SGD, {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    "adam": (torch.optim.Adam, {"lr": 0.001, "eps": 1e-7}),
    "adamw": (torch.optim.AdamW, {"lr": 0.001, "eps": 1e-7, "weight_decay": 0.004}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.001, "alpha": 0.9, "eps": 1e-7}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.001, "initial_accumulator_value": 0.1, "eps": 1e-7}),
    "adadelta": (torch.optim.Adadelta, {"lr": 0.001, "rho": 0.95, "eps": 1e-7}),
    "adamax": (torch.optim.Adamax, {"lr": 0.001, "eps": 1e-7}),
    "nadam": (torch.optim.NAdam, {"lr": 0.001, "eps": 1e-7, "momentum_decay": 1.0}),
    "adafactor": (torch.optim.Adafactor, {"lr": 0.001, "eps": (1e-30, 1e-3)}),
    "lion": (Lion, {}),
    "lamb": (Lamb, {}),
    "muon": (Muon, {}),
}

#: Optimizers of Keras without a name here, and how to use them.
MISSING = {
    "ftrl": "it suits sparse linear models; pass a function that builds a torch optimizer from the parameters",
    "schedulefreeadamw": "pass a function that builds one, such as schedulefree.AdamWScheduleFree",
    "lossscaleoptimizer": "Trainer(..., precision='fp16') scales the loss",
    "multioptimizer": "pass parameters= with a learning rate for each group",
}


_NO_LBFGS = (
    "LBFGS computes the loss several times for each update, and Trainer once; pass another optimizer, such as 'adam'"
)


def as_optimizer(
    user_optimizer: Any,
    module: nn.Module,
    learning_rate: float | None = None,
    parameters: Iterable[Any] | None = None,
) -> OptimizerView:
    """Return ``user_optimizer`` as an optimizer of the module's parameters.

    Args:
        user_optimizer: a name; a torch optimizer; or a function that builds one from the parameters, such as
            ``functools.partial(torch.optim.SGD, lr=0.1)`` or ``torch.optim.AdamW``.
        module: module whose trainable parameters are optimized.
        learning_rate: learning rate in place of the default of a name or a function.
        parameters: parameters, or groups of them with their own options, in place of the module's.

    Raises:
        TrainingError: ``user_optimizer`` is not an optimizer, or the arguments contradict each other.
    """
    if isinstance(user_optimizer, OptimizerView):
        return user_optimizer
    if isinstance(user_optimizer, torch.optim.LBFGS):
        raise TrainingError(_NO_LBFGS)
    if isinstance(user_optimizer, torch.optim.Optimizer):
        if learning_rate is not None or parameters is not None:
            raise TrainingError("learning_rate and parameters belong to an optimizer given by name, not to an object")
        return OptimizerView(user_optimizer)
    _check_rate(learning_rate)
    chosen = _to_optimize(module) if parameters is None else list(parameters)
    if not chosen and not any(p.requires_grad for p in module.parameters()):
        chosen = _to_optimize(module)  # parameters= is a filter of the trainable ones, and all are frozen
    if not chosen:
        raise TrainingError("the module has no parameters to train")
    if is_keras(user_optimizer):
        raise TrainingError(_keras_optimizer_message(user_optimizer))
    if isinstance(user_optimizer, str):
        kind, options = _by_name(user_optimizer)
        rate = {} if learning_rate is None else {"lr": learning_rate}
        return OptimizerView(kind(chosen, **(options | rate)))
    if callable(user_optimizer):
        return OptimizerView(_call_user_function(user_optimizer, chosen, learning_rate))
    raise TrainingError(
        f"optimizer is a {type(user_optimizer).__name__}; expected a name, a torch optimizer or a function"
    )


def _check_rate(learning_rate: Any) -> None:
    if learning_rate is not None and not isinstance(learning_rate, (Real, torch.Tensor)):
        raise TrainingError(
            f"learning_rate is a {type(learning_rate).__name__}; expected a number\n  for a schedule pass a callback, "
            "such as LearningRateScheduler or WarmupCosine, or a scheduler of torch"
        )


def _to_optimize(module: nn.Module) -> list[nn.Parameter]:
    """Return the trainable parameters; all if none is trainable yet, because an optimizer needs some."""
    parameters = list(module.parameters())
    return [p for p in parameters if p.requires_grad] or parameters


def _by_name(name: str) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    short = name.lower()
    if short in MISSING:
        raise TrainingError(f"no optimizer is called {name!r}\n  {MISSING[short]}")
    if short not in BY_NAME:
        raise TrainingError(f"no optimizer is called {name!r}{did_you_mean(short, BY_NAME, there_are=BY_NAME)}")
    return BY_NAME[short]


def _keras_optimizer_message(user_optimizer: Any) -> str:
    name = user_optimizer.__name__ if isinstance(user_optimizer, type) else type(user_optimizer).__name__
    rate = None if isinstance(user_optimizer, type) else getattr(user_optimizer, "learning_rate", None)
    schedule = getattr(user_optimizer, "_learning_rate", None)
    if rate is None:
        arguments = ""
    elif callable(getattr(schedule, "get_config", None)):
        arguments = f" and, for its {type(schedule).__name__}, callbacks=[StepSchedule(...)] of fit"
    else:
        arguments = f", learning_rate={float(rate):g}"
    return (
        f"optimizer is Keras's {name}, which updates Keras's variables, not a torch module's parameters\n  write "
        f"optimizer={name.lower()!r}{arguments}, or pass one of torch.optim"
    )


def _call_user_function(
    function: Callable[..., Any], parameters: list[Any], learning_rate: float | None
) -> torch.optim.Optimizer:
    rate = {} if learning_rate is None else {"lr": learning_rate}
    built = function(parameters, **rate)
    if not isinstance(built, torch.optim.Optimizer):
        raise TrainingError(f"the optimizer function returned a {type(built).__name__}, not a torch optimizer")
    if isinstance(built, torch.optim.LBFGS):
        raise TrainingError(_NO_LBFGS)
    return built


def discriminative_groups(
    module: nn.Module,
    learning_rate: float | tuple[float, float],
    *,
    decay: float = 1.0,
    weight_decay: float | None = None,
    blocks: Sequence[nn.Module] | None = None,
) -> list[dict[str, Any]]:
    """Return parameter groups for a torch optimizer, one or two for each block of ``module``, bottom to top.

    As in Howard and Ruder, *Universal Language Model Fine-tuning* (https://arxiv.org/abs/1801.06146), section 3.1.

    Example:
        >>> net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
        >>> groups = discriminative_groups(net, 1e-2, decay=0.1)
        >>> [f"{group['lr']:.3f}" for group in groups]
        ['0.001', '0.010']
        >>> model = Trainer(net, 'adam', 'cross_entropy', parameters=groups)

    Args:
        module: module whose trainable parameters are grouped, each once.
        learning_rate: rate of the topmost block; or a pair, of the lowest and of the topmost block, with equal ratios
            between neighboring blocks.
        decay: rate of a block divided by that of the block above it; with a single ``learning_rate``.
        weight_decay: weight decay of weights; biases and other parameters with one dimension get 0. None: the
            optimizer's default.
        blocks: the blocks, bottom to top; None: ``module.parameter_blocks()`` if that method exists, as in
            `Classifier`; otherwise the children of ``module``, or of its only child.

    Raises:
        TrainingError: a rate or ``decay`` is not above 0, both a pair and ``decay`` are given, or the blocks leave out
            or repeat a parameter.
    """
    parameter_blocks: Any = getattr(module, "parameter_blocks", None)
    if blocks is None and callable(parameter_blocks):
        parts = [[p for p in block if p.requires_grad] for block in parameter_blocks()]
    else:
        parts = [_trainable(block) for block in (_blocks(module) if blocks is None else blocks)]
    _check_cover(module, parts)
    parts = [part for part in parts if part]
    rates = _rates(learning_rate, decay, len(parts))
    groups = []
    for part, rate in zip(parts, rates, strict=True):
        if weight_decay is None:
            groups.append({"params": part, "lr": rate})
            continue
        for some, decay_of_some in (
            ([p for p in part if p.ndim > 1], weight_decay),
            ([p for p in part if p.ndim <= 1], 0.0),
        ):
            if some:
                groups.append({"params": some, "lr": rate, "weight_decay": decay_of_some})
    return groups


def _blocks(module: nn.Module) -> list[nn.Module]:
    children = list(module.children())
    own = [p for p in module.parameters(recurse=False) if p.requires_grad]
    if own or not children:
        return [module]
    return _blocks(children[0]) if len(children) == 1 else children


def _trainable(block: nn.Module) -> list[nn.Parameter]:
    return [p for p in block.parameters() if p.requires_grad]


def _check_cover(module: nn.Module, parts: Sequence[Sequence[nn.Parameter]]) -> None:
    covered = [id(p) for part in parts for p in part]
    missing = [name for name, p in module.named_parameters() if p.requires_grad and id(p) not in covered]
    if missing:
        raise TrainingError(f"the blocks leave out parameters that need a gradient: {missing}")
    if len(set(covered)) < len(covered):
        raise TrainingError("a parameter is in more than one of the blocks")


def _rates(learning_rate: float | tuple[float, float], decay: float, count: int) -> list[float]:
    if isinstance(learning_rate, tuple):
        low, high = learning_rate
        if decay != 1.0:
            raise TrainingError("give either a pair of learning rates or decay, not both")
    else:
        high = learning_rate
        low = high * decay ** (count - 1)
    if low <= 0 or high <= 0:
        raise TrainingError(f"learning_rate is {learning_rate} and decay {decay}; expected numbers above 0")
    if count == 1:
        return [high]
    return [low * (high / low) ** (i / (count - 1)) for i in range(count)]
