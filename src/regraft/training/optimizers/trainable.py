"""Parameters that are trainable now, followed by the optimizer and the moving average."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from torch import nn

from regraft.errors import TrainingError
from regraft.text import shorten
from regraft.training.optimizers.ema import EMA
from regraft.training.optimizers.optimizer_state import named_groups, restore_optimizer
from regraft.training.optimizers.optimizer_view import OptimizerView

_requires_grad = attrgetter("requires_grad")

Build = Callable[[list[nn.Parameter]], OptimizerView]


class Trainables:
    """Updates the optimizer and the moving average when parameters are frozen, unfrozen, added or removed.

    A frozen parameter keeps its value: it stays in its group without a gradient, so that torch's optimizers skip it,
    and leaves the moving average. A parameter that is unfrozen, or new in the module, joins the group that the
    optimizer was built with for such parameters.

    Args:
        module: what is trained.
        optimizer: the optimizer; None if there is none.
        ema: the moving average; None if there is none.
        build: builds an optimizer of the same kind for other parameters. None: the user chose the parameters, and a
            trainable one that is in no group is reported.
        say: prints a label and a text on the screen.
        warn: prints a warning.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: OptimizerView | None,
        ema: EMA | None,
        build: Build | None,
        say: Callable[[str, str], None],
        warn: Callable[[str], None],
    ) -> None:
        self._module, self._optimizer, self._ema = module, optimizer, ema
        self._build, self._say, self._warn = build, say, warn
        self._born = [_options(group) for group in copy.deepcopy(_without_parameters(optimizer))]
        self._parameters: dict[str, nn.Parameter] = {}
        self._flags: list[bool] = []
        self._warned: list[str] = []
        self._ignored: list[str] = []
        self._all_frozen = False
        self._record_flags()

    @property
    def names(self) -> list[str]:
        """The names of the parameters that need a gradient."""
        return [name for name, parameter in self._module.named_parameters() if parameter.requires_grad]

    def set_names(self, names: Sequence[str]) -> None:
        """Make exactly the parameters of these names trainable."""
        chosen = set(names)
        for name, parameter in self._module.named_parameters():
            parameter.requires_grad_(name in chosen)

    def changed(self) -> bool:
        """Return whether a parameter was frozen or unfrozen since `follow`; new parameters are not detected."""
        return list(map(_requires_grad, self._parameters.values())) != self._flags

    def follow(self) -> None:
        """Update optimizer and moving average for the parameters that are trainable now."""
        self._warn_of_attributes()
        before = {name for name, flag in zip(self._parameters, self._flags, strict=True) if flag}
        known = self._parameters
        self._record_flags()
        trainable = {name: p for name, p in self._parameters.items() if p.requires_grad}
        if self._ema is not None:
            self._ema.follow(trainable)
        if self._optimizer is None:
            return
        self._clear_frozen_gradients()
        self._remove_missing(known)
        left = self._add_trainable(trainable)
        thawed = [name for name, p in trainable.items() if name not in before or known.get(name) is not p]
        self._report(
            [name for name in thawed if name not in left],
            [name for name in self._parameters if name in before and name not in trainable],
        )

    def check(self) -> None:
        """Warn if every parameter of the module is frozen, once until some are unfrozen.

        Raises:
            TrainingError: the module has trainable parameters, and the optimizer contains none of them.
        """
        frozen, self._all_frozen = self._all_frozen, self._nothing_to_train()
        if self._all_frozen and not frozen:
            self._warn(f"training changes nothing: {self._frozen()}")

    def require(self) -> None:
        """Check that there is something to train.

        Raises:
            TrainingError: every parameter is frozen, or the optimizer contains only frozen ones.
        """
        if self._nothing_to_train():
            raise TrainingError(f"there is nothing to train: {self._frozen()}")

    def _nothing_to_train(self) -> bool:
        if self._optimizer is None:
            return False
        own = {id(p) for p in self._parameters.values()}
        held = self._optimizer.trainable()
        names = self.names
        if any(id(p) in own for p in held) or (held and not names):
            return False
        if names:
            raise TrainingError(
                "there is nothing to train: the optimizer contains none of the trainable parameters "
                f"({shorten(names)}); pass them to the optimizer, or unfreeze its parameters with requires_grad_(True)"
            )
        return True

    def _frozen(self) -> str:
        return (
            f"all {len(self._parameters)} parameters of the module are frozen ({shorten(list(self._parameters))}); "
            "unfreeze some with requires_grad_(True), such as those of a new head"
        )

    def optimizer_state(self) -> dict[str, Any]:
        """Return the state of the optimizer, with the name of each parameter in its groups."""
        assert self._optimizer is not None
        return self._optimizer.state_dict() | {"names": named_groups(self._optimizer, self._parameters)}

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `optimizer_state` returned, by name.

        Raises:
            TrainingError: the groups of the saved optimizer differ from those of this one.
        """
        assert self._optimizer is not None
        restore_optimizer(self._optimizer, state, self._parameters, grows=self._build is not None)

    def _report(self, thawed: Sequence[str], frozen: Sequence[str]) -> None:
        if thawed:
            self._say("training", f"{_parameters_are(thawed)} trained from now on: {shorten(thawed)}")
        if frozen:
            self._say("frozen", f"{_parameters_are(frozen)} no longer trained: {shorten(frozen)}")

    def _warn_of_attributes(self) -> None:
        """Warn once of ``module.trainable = False``, Keras's way to freeze, which has no effect in torch."""
        named = self._module.named_modules()
        marked = [(name or "the module", part) for name, part in named if vars(part).get("trainable") is False]
        ignored = [name for name, part in marked if any(p.requires_grad for p in part.parameters())]
        if ignored and ignored != self._ignored:
            self._ignored = ignored
            self._warn(
                f"trainable = False on a torch module freezes nothing: {shorten(ignored)}; use requires_grad_(False), "
                "or trainer.get_layer(name).trainable = False"
            )

    def _record_flags(self) -> None:
        self._parameters = dict(self._module.named_parameters())
        self._flags = [p.requires_grad for p in self._parameters.values()]

    def _clear_frozen_gradients(self) -> None:
        """Drop gradients of frozen parameters: momentum and weight decay would move a parameter that has one."""
        for parameter in self._parameters.values():
            if not parameter.requires_grad and parameter.grad is not None:
                parameter.grad = None

    def _remove_missing(self, known: Mapping[str, nn.Parameter]) -> None:
        """Remove parameters that are no longer in the module, such as those of a replaced head."""
        if self._build is None or self._optimizer is None:
            return
        present = {id(p) for p in self._parameters.values()}
        gone = {id(p): p for p in known.values() if id(p) not in present}
        if not gone:
            return
        for group in self._optimizer.param_groups:
            group["params"][:] = [p for p in group["params"] if id(p) not in gone]
        for parameter in gone.values():
            self._optimizer.torch.state.pop(parameter, None)

    def _add_trainable(self, trainable: Mapping[str, nn.Parameter]) -> list[str]:
        """Add trainable parameters that are in no group to the optimizer; return and report all others."""
        assert self._optimizer is not None
        held = {id(p) for group in self._optimizer.param_groups for p in group["params"]}
        missing = {name: p for name, p in trainable.items() if id(p) not in held}
        if missing and self._build is not None:
            self._add_to_groups({id(p): p for p in missing.values()}, self._build(list(missing.values())))
            held = {id(p) for group in self._optimizer.param_groups for p in group["params"]}
        left = [name for name, p in missing.items() if id(p) not in held]
        if left and left != self._warned:
            self._warned = left
            self._warn(
                f"{_parameters_are(left)} trainable, but in no group of the optimizer, and will not change: "
                f"{shorten(left)}; freeze them with requires_grad_(False), or make a Trainer whose optimizer has them"
            )
        return left

    def _add_to_groups(self, missing: Mapping[int, nn.Parameter], fresh: OptimizerView) -> None:
        optimizer = self._optimizer
        assert optimizer is not None
        for group in fresh.param_groups:
            new = [p for p in group["params"] if id(p) in missing]
            own = self._group_like(group)
            if own is None:
                optimizer.torch.add_param_group({**_options(group), "params": new})
                self._born.append(_options(group))
            else:
                own["params"].extend(new)
        optimizer.torch.state.update({p: s for p, s in fresh.torch.state.items() if id(p) in missing})

    def _group_like(self, group: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the group of the optimizer that was built with the same options; or the only group."""
        assert self._optimizer is not None
        groups = self._optimizer.param_groups
        if len(groups) == 1:
            return groups[0]
        options = _options(group)
        return next((own for own, born in zip(groups, self._born, strict=False) if _same(born, options)), None)


def _without_parameters(optimizer: OptimizerView | None) -> list[dict[str, Any]]:
    return [] if optimizer is None else [_options(group) for group in optimizer.param_groups]


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(bool(one[name] == other[name]) for name in one)


def _parameters_are(names: Sequence[str]) -> str:
    return "1 parameter is" if len(names) == 1 else f"{len(names)} parameters are"
