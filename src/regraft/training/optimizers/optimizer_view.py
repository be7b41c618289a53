"""A view of a torch optimizer with the attributes of a Keras optimizer."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch

from regraft.errors import TrainingError
from regraft.training.optimizers.bound_number import bound

#: Keras's names of hyperparameters, and their keys in torch's parameter groups; a number is the position in a tuple.
HYPERPARAMETERS: dict[str, tuple[tuple[str, int | None], ...]] = {
    "momentum": (("momentum", None),),
    "nesterov": (("nesterov", None),),
    "beta_1": (("betas", 0),),
    "beta_2": (("betas", 1),),
    "rho": (("rho", None), ("alpha", None)),
    "epsilon": (("eps", None),),
    "weight_decay": (("weight_decay", None),),
    "amsgrad": (("amsgrad", None),),
    "centered": (("centered", None),),
}
#: Attributes of Keras's optimizers that are arguments or methods elsewhere in regraft.
ELSEWHERE = {
    "clipnorm": "pass clip_norm= to the Trainer, which clips the norm of all gradients together",
    "global_clipnorm": "pass clip_norm= to the Trainer",
    "clipvalue": "pass clip_value= to the Trainer",
    "use_ema": "pass ema= to the Trainer",
    "ema_momentum": "pass ema= to the Trainer",
    "ema_overwrite_frequency": "pass ema_overwrite_frequency= to the Trainer",
    "gradient_accumulation_steps": "pass accumulate= to the Trainer",
    "loss_scale_factor": "pass precision='fp16' to the Trainer",
    "decay": "use the callback LearningRateScheduler or StepSchedule",
    "apply": "torch's optimizers take gradients from the parameters: set .grad, then call optimizer.torch.step()",
    "apply_gradients": "torch's optimizers take gradients from the parameters: set .grad, then call "
    "optimizer.torch.step()",
    "minimize": "call loss.backward(), then optimizer.torch.step()",
    "get_weights": "use optimizer.state_dict()",
    "set_weights": "use optimizer.load_state_dict(state)",
}


class Variables(list[Any]):
    """A list that can also be called, as ``optimizer.variables()`` in older Keras."""

    def __call__(self) -> Variables:
        """Return the list."""
        return self


class OptimizerView:
    """A torch optimizer whose learning rate is read and set as that of a Keras optimizer.

    With several parameter groups ``learning_rate`` is that of the *leading* group: the one with the largest rate when
    the view was created (with layer-wise rates, the topmost). Setting it multiplies the rates of all groups by the same
    factor, so that they keep their ratio.

    Keras's names of hyperparameters (``momentum``, ``beta_1``, ``epsilon`` ...) read the leading group and set all
    groups. All other names are attributes of the torch optimizer.

    Example:
        >>> optimizer = model.optimizer  # an OptimizerView
        >>> optimizer.learning_rate = 0.01
        >>> optimizer.learning_rate, optimizer.beta_1
        (0.01, 0.9)
        >>> optimizer.torch.param_groups[0]['lr']
        0.01

    Args:
        optimizer: the torch optimizer.

    Attributes:
        torch: the torch optimizer itself.
        iterations: number of updates of the weights so far.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.torch = optimizer
        self._iterations = 0
        self._base = [float(group["lr"]) for group in optimizer.param_groups]
        self._leading = max(range(len(self._base)), key=self._base.__getitem__)

    @property
    def name(self) -> str:
        """Keras's name of this optimizer, such as ``"adam"`` or ``"sgd"``."""
        kind = type(self.torch).__name__
        return "nadam" if kind == "NAdam" else re.sub("([a-z])([A-Z])|(.)([A-Z][a-z]+)", _with_underscore, kind).lower()

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The torch optimizer's parameter groups."""
        return self.torch.param_groups

    @property
    def learning_rate(self) -> Any:
        """The leading group's learning rate, a float that also has the methods of a Keras variable."""
        return bound(float(self.param_groups[self._leading]["lr"]), self, "learning_rate")

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        new, old = _rate(value), float(self.param_groups[self._leading]["lr"])
        for i, group in enumerate(self.param_groups):
            if i == self._leading:
                rate = new
            elif old > 0:
                rate = float(group["lr"]) * (new / old)
            else:
                base = self._base[self._leading]
                rate = new * (self._base[i] / base if base > 0 and i < len(self._base) else 1.0)
            _set(group, "lr", rate)

    @property
    def lr(self) -> Any:
        """The older name of `learning_rate`."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        self.learning_rate = value

    @property
    def iterations(self) -> Any:
        """The number of updates of the weights so far, an int that also has the methods of a Keras variable."""
        return bound(self._iterations, self, "iterations")

    @iterations.setter
    def iterations(self, value: Any) -> None:
        self._iterations = int(value)

    def trainable(self) -> list[torch.nn.Parameter]:
        """Return the parameters that the optimizer trains now, in the order of their groups."""
        return [p for group in self.torch.param_groups for p in group["params"] if p.requires_grad]

    def count_update(self) -> None:
        """Add 1 to `iterations`."""
        self.__dict__["_iterations"] += 1

    @property
    def variables(self) -> Variables:
        """The iterations, the learning rate, and the tensors that the torch optimizer keeps for the parameters."""
        state = [value for one in self.torch.state.values() for value in one.values()]
        tensors = [value for value in state if isinstance(value, torch.Tensor)]
        return Variables([self.iterations, self.learning_rate, *tensors])

    weights = variables

    def get_config(self) -> dict[str, Any]:
        """Return the name and the hyperparameters as JSON values, by Keras's names if it has them."""
        group = self.param_groups[self._leading]
        config: dict[str, Any] = {"name": self.name, "learning_rate": float(self.learning_rate)}
        config |= {name: _read(group, *place) for name in HYPERPARAMETERS if (place := _place(group, name))}
        known = {key for places in HYPERPARAMETERS.values() for key, _ in places} | {"params", "lr", "initial_lr"}
        return config | {key: value for key, value in group.items() if key not in known and _is_plain(value)}

    def state_dict(self) -> dict[str, Any]:
        """Return the torch optimizer's state and the number of updates."""
        return {"torch": self.torch.state_dict(), "iterations": self._iterations}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self.torch.load_state_dict(dict(state["torch"]))
        self._iterations = int(state["iterations"])

    def __getattr__(self, name: str) -> Any:
        if name == "torch" or "torch" not in self.__dict__:
            raise AttributeError(name)
        group = self.param_groups[self.__dict__.get("_leading", 0)]
        place = _place(group, name)
        if place:
            value = _read(group, *place)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            return bound(float(value), self, name) if is_number else value
        try:
            return getattr(self.torch, name)
        except AttributeError:
            hint = f"; {ELSEWHERE[name]}" if name in ELSEWHERE else ""
            raise AttributeError(f"torch's {type(self.torch).__name__} has no {name!r}{hint}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name) or "torch" not in self.__dict__ or name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        place = _place(self.param_groups[0], name)
        if place:
            for group in self.param_groups:
                _set(group, *place, value)
        elif name in ELSEWHERE or name in HYPERPARAMETERS:
            raise TrainingError(
                f"optimizer.{name} cannot be set on torch's {type(self.torch).__name__}; "
                f"{ELSEWHERE.get(name, 'its hyperparameters are ' + ', '.join(sorted(self.get_config())))}"
            )
        else:
            object.__setattr__(self, name, value)


def _with_underscore(match: re.Match[str]) -> str:
    return f"{match[1] or match[3]}_{match[2] or match[4]}"


def _rate(value: Any) -> float:
    try:
        rate = float(value)
    except (TypeError, ValueError) as error:
        raise TrainingError(
            f"the learning rate is a {type(value).__name__}; expected a number. For a schedule pass a callback to fit: "
            "LearningRateScheduler, StepSchedule or a torch lr_scheduler"
        ) from error
    if not math.isfinite(rate) or rate < 0:
        raise TrainingError(f"the learning rate is {rate}; expected a finite number of 0 or more")
    return rate


def _place(group: Mapping[str, Any], name: str) -> tuple[str, int | None] | None:
    """Return the key in ``group``, and the position in its tuple, of the hyperparameter ``name``."""
    places = HYPERPARAMETERS.get(name, ((name, None),) if name not in ("params", "lr") else ())
    return next(((key, position) for key, position in places if key in group), None)


def _read(group: Mapping[str, Any], key: str, position: int | None = None) -> Any:
    return group[key] if position is None else group[key][position]


def _set(group: dict[str, Any], key: str, *rest: Any) -> None:
    """Set ``group[key]`` to the last argument; if a position comes before it, only that item of the tuple."""
    *position, value = rest
    plain = value.item() if callable(getattr(value, "item", None)) else value
    if position and position[0] is not None:
        whole = list(group[key])
        whole[position[0]] = plain
        group[key] = tuple(whole)
    elif isinstance(group[key], torch.Tensor):
        group[key].fill_(plain)
    else:
        group[key] = plain


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))
