"""The state of an optimizer by the names of its parameters.

torch keeps it by position. The position of a parameter depends on the order in which stages of a training unfroze it,
so a state that is restored by position alone may reach another parameter of the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from regraft.errors import TrainingError, several
from regraft.text import shorten
from regraft.training.optimizers.optimizer_view import OptimizerView


def named_groups(optimizer: OptimizerView, parameters: Mapping[str, nn.Parameter]) -> list[list[str]]:
    """Return the names of the parameters of each group; one that is not in the module is named by its position."""
    names = {id(parameter): name for name, parameter in parameters.items()}
    return [
        [names.get(id(p), f"parameter {i} of group {g}, not in the module") for i, p in enumerate(group["params"])]
        for g, group in enumerate(optimizer.param_groups)
    ]


def restore_optimizer(
    optimizer: OptimizerView, state: Mapping[str, Any], parameters: Mapping[str, nn.Parameter], *, grows: bool
) -> None:
    """Restore an optimizer from its state and the names of its parameters; its groups take the saved order.

    Args:
        optimizer: what is restored.
        state: what its ``state_dict`` returned, with ``names`` of `named_groups`; without names it goes by position.
        parameters: the module's, by name.
        grows: the groups follow the module: a parameter that only one of the two has is not an error.

    Raises:
        TrainingError: the saved groups are not those of the optimizer.
    """
    saved = state.get("names")
    extra: dict[Tensor, Any] = {}  # some optimizers make the state of a parameter when they are built
    if saved is not None:
        own = named_groups(optimizer, parameters)
        problems = _differences(saved, own, parameters, grows=grows)
        if problems:
            raise TrainingError(
                several("the saved optimizer has other parameter groups", problems)
                + "\n  make the Trainer with the groups that were saved, or load the weights alone with load_weights"
            )
        names_saved = {name for names in saved for name in names}
        values = optimizer.torch.state
        extra = {p: values[p] for name, p in parameters.items() if name not in names_saved and p in values}
        state = {**state, "torch": _arranged(optimizer, state["torch"], saved, own, parameters)}
    try:
        optimizer.load_state_dict(state)
    except ValueError as error:
        raise TrainingError(
            f"the saved optimizer does not fit this one: {error}; make the Trainer with the optimizer and groups that "
            "were saved, or load the weights alone with load_weights"
        ) from error
    optimizer.torch.state.update(extra)


def _differences(
    saved: Sequence[Sequence[str]], own: Sequence[Sequence[str]], parameters: Mapping[str, nn.Parameter], *, grows: bool
) -> list[str]:
    if len(saved) != len(own):
        return [f"{len(saved)} groups were saved; this optimizer has {len(own)}"]
    place = {name: g for g, names in enumerate(own) for name in names}
    names_saved = {name for names in saved for name in names}
    problems = [
        f"{name} was in group {g}, but is now in group {place[name]}"
        for g, names in enumerate(saved)
        for name in names
        if place.get(name, g) != g
    ]
    extra = [name for name in names_saved if name not in place and not (grows and name in parameters)]
    missing = [name for name in place if name not in names_saved] if not grows else []
    if extra:
        problems.append(f"saved, but in no group of this optimizer: {shorten(sorted(extra))}")
    if missing:
        problems.append(f"in this optimizer, but not saved: {shorten(missing)}")
    return problems


def _arranged(
    optimizer: OptimizerView,
    saved_state: Mapping[str, Any],
    saved: Sequence[Sequence[str]],
    own: Sequence[Sequence[str]],
    parameters: Mapping[str, nn.Parameter],
) -> dict[str, Any]:
    """Put the groups of ``optimizer`` in the saved order, and return the saved state with empty states for new ones."""
    groups = []
    free = 1 + max((i for group in saved_state["param_groups"] for i in group["params"]), default=-1)
    for group, saved_group, names, own_names in zip(
        optimizer.param_groups, saved_state["param_groups"], saved, own, strict=True
    ):
        held = dict(zip(own_names, group["params"], strict=True))
        extra = [p for name, p in held.items() if name not in names]
        group["params"][:] = [held[name] if name in held else parameters[name] for name in names] + extra
        places = [*saved_group["params"], *range(free, free + len(extra))]
        free += len(extra)
        groups.append({**saved_group, "params": places})
    return {**saved_state, "param_groups": groups}
