"""The trainers of several processes, kept equal to that of process 0.

All processes compute the same updates. Process 0 alone reads snapshots and runs the callbacks. Whatever these change in
its trainer is sent to the others.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from regraft.distributed.world import current
from regraft.errors import WorkersError
from regraft.tensors import tensors_checksum
from regraft.training.numerics import generator_states, restore_generators
from regraft.training.saving.saved_state import load_state, state_of
from regraft.training.state_format import flatten, unflatten

if TYPE_CHECKING:
    from regraft.training.trainer import Trainer


@dataclass(frozen=True)
class Mark:
    """A trainer at one moment, to find out what a hook changes.

    Attributes:
        facts: settings that callbacks change, as plain values.
        generators: the states of the global random generators, as values that can be compared.
        tensors: all tensors of the module, the moving average and the optimizer.
        versions: torch's count of the changes of each.
    """

    facts: dict[str, Any]
    generators: tuple[Any, ...]
    tensors: list[Tensor]
    versions: list[int]


class Replica:
    """The trainer of one process, as a copy of that of process 0.

    Args:
        trainer: the trainer.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def mark(self) -> Mark:
        """Return the present state, for `changes`."""
        tensors = self._tensors()
        return Mark(self._facts(), _generators(), tensors, [tensor._version for tensor in tensors])

    def changes(self, before: Mark) -> dict[str, Any]:
        """Return what has changed since ``before``, as values that another process can apply."""
        now = self.mark()
        if [tensor.shape for tensor in now.tensors] != [tensor.shape for tensor in before.tensors]:
            return {"whole": whole_state(self._trainer)}
        pairs = zip(now.tensors, before.tensors, now.versions, before.versions, strict=True)
        changed = [i for i, (a, b, new, old) in enumerate(pairs) if a is not b or new != old]
        message: dict[str, Any] = {"tensors": {i: now.tensors[i].detach().cpu() for i in changed}} if changed else {}
        if now.facts != before.facts:
            message["facts"] = now.facts
        if now.generators != before.generators:
            message["generators"] = generator_states(self._trainer.device)
        return message

    @torch.no_grad()
    def apply(self, message: Mapping[str, Any]) -> None:
        """Apply the changes of process 0."""
        if "whole" in message:
            load_whole_state(self._trainer, message["whole"])
        if "tensors" in message:
            own = self._tensors()
            for position, value in message["tensors"].items():
                own[position].copy_(value)
        if "facts" in message:
            self._set_facts(message["facts"])
        if "generators" in message:
            restore_generators(message["generators"], self._trainer.device)

    def _tensors(self) -> list[Tensor]:
        trainer = self._trainer
        tensors: list[Tensor] = list(trainer.module.state_dict(keep_vars=True).values())
        if trainer.ema is not None:
            tensors += trainer.ema.average
        if trainer.optimizer is not None:
            states = trainer.optimizer.torch.state
            parameters = [p for group in trainer.optimizer.param_groups for p in group["params"] if p in states]
            tensors += [v for p in parameters for v in states[p].values() if isinstance(v, Tensor)]
        return tensors

    def _facts(self) -> dict[str, Any]:
        trainer = self._trainer
        stop, ema = trainer.loop_state.stop, trainer.ema
        groups: Sequence[Any] = () if trainer.optimizer is None else trainer.optimizer.param_groups
        return {
            "stop": (stop.requested, stop.reason),
            "stop_evaluating": trainer.stop_evaluating,
            "groups": [{name: value for name, value in group.items() if name != "params"} for group in groups],
            "trainable": [parameter.requires_grad for parameter in trainer.module.parameters()],
            "modes": [part.training for part in trainer.module.modules()],
            "ema": None if ema is None else (ema.shown, ema.measured),
        }

    def _set_facts(self, facts: Mapping[str, Any]) -> None:
        trainer = self._trainer
        trainer.loop_state.stop.requested, trainer.loop_state.stop.reason = facts["stop"]
        trainer.stop_evaluating = facts["stop_evaluating"]
        if trainer.optimizer is not None:
            for group, options in zip(trainer.optimizer.param_groups, facts["groups"], strict=True):
                group.update(options)
        for parameter, trainable in zip(trainer.module.parameters(), facts["trainable"], strict=True):
            if parameter.requires_grad != trainable:
                parameter.requires_grad_(trainable)
        for part, training in zip(trainer.module.modules(), facts["modes"], strict=True):
            if part.training != training:
                part.training = training
        if trainer.ema is not None:
            trainer.ema.shown, trainer.ema.measured = facts["ema"]


def whole_state(trainer: Trainer) -> tuple[str, dict[str, Tensor]]:
    """Return the whole state of a trainer without its callbacks, as text and tensors in main memory."""
    text, tensors = flatten({**state_of(trainer), "callbacks": {}}, "")
    return text, {name: tensor.cpu() for name, tensor in tensors.items()}


def load_whole_state(trainer: Trainer, state: tuple[str, Mapping[str, Tensor]]) -> None:
    """Restore what `whole_state` returned."""
    load_state(trainer, unflatten(*state))


def share_start(trainer: Trainer) -> None:
    """Give all processes the state that process 0 starts from, maybe that of a snapshot.

    Raises:
        WorkersError: the tensors that are never trained, such as pretrained weights, differ.
    """
    world, loop = current(), trainer.loop_state
    if world.size == 1:
        return
    weights = trainer.module.state_dict()
    fixed = world.gather(tensors_checksum({name: weights[name] for name in weights if name in trainer.fixed}))
    for rank, checksum in enumerate(fixed):
        if checksum != fixed[0]:
            raise WorkersError(
                f"process {rank} has other pretrained weights than process 0; expected the same in all processes\n"
                "  put the same weight file on every machine"
            )
    places = (loop.initial_epoch, loop.resuming.active, loop.resuming.finished)
    state, places = world.broadcast((whole_state(trainer) if world.rank == 0 else ("", {}), places))
    if world.rank:
        load_whole_state(trainer, state)
    loop.initial_epoch, loop.resuming.active, loop.resuming.finished = places


def check_replicas(trainer: Trainer) -> None:
    """Check that the weights of all processes are equal to the bit.

    Raises:
        WorkersError: they differ.
    """
    world = current()
    if world.size == 1:
        return
    weights = trainer.module.state_dict()
    sums = world.gather(tensors_checksum({name: weights[name] for name in weights if name not in trainer.fixed}))
    for rank, checksum in enumerate(sums):
        if checksum != sums[0]:
            raise WorkersError(
                f"process {rank} has other weights than process 0 after epoch {trainer.epoch + 1}; expected the same "
                "bits\n  all processes need the same kind of device, the same packages and the same data"
            )


def share_result(trainer: Trainer) -> None:
    """Give all processes the final weights and the callbacks' states of process 0."""
    world, callbacks = current(), trainer.loop_state.callbacks
    if world.size == 1 or callbacks is None:
        return
    weights = trainer.module.state_dict()
    text, tensors = flatten([callbacks.state_dict(), weights] if world.rank == 0 else [], "")
    text, tensors = world.broadcast((text, {name: tensor.cpu() for name, tensor in tensors.items()}))
    if world.rank:
        states, weights = unflatten(text, tensors)
        own = callbacks.state_dict()
        callbacks.load_state_dict({key: state for key, state in states.items() if key in own})
        trainer.module.load_state_dict(weights)


def _generators() -> tuple[Any, ...]:
    _, keys, position, *_ = np.random.get_state(legacy=True)  # noqa: NPY002  (callbacks of users may draw from it)
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), np.asarray(keys).tobytes(), position
