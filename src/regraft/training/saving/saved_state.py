"""The saved state of a `Trainer`: everything that an interrupted training needs to continue to the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from regraft.errors import TrainingError, several
from regraft.tensors import state_dict_mismatches
from regraft.training.numerics import generator_states, restore_generators

if TYPE_CHECKING:
    from regraft.training.module_weights import ModuleWeights
    from regraft.training.trainer import Trainer


def training_state_of(trainer: ModuleWeights) -> dict[str, Any]:
    """Return the state of the optimizer, the moving average and the loss scaling; only of those in use."""
    states = {
        "optimizer": None if trainer.optimizer is None else trainer.trainables.optimizer_state(),
        "ema": None if trainer.ema is None else trainer.ema.state_dict(),
        "precision": trainer.components.precision.state_dict(),
    }
    return {name: state for name, state in states.items() if state}


def load_training_state(trainer: ModuleWeights, state: Mapping[str, Any]) -> None:
    """Restore what `training_state_of` returned.

    Raises:
        TrainingError: the state has a part that this trainer was made without.
    """
    parts = {"optimizer": trainer.optimizer, "ema": trainer.ema, "precision": trainer.components.precision}
    for name, value in state.items():
        part: Any = parts.get(name)
        if part is None:
            raise TrainingError(f"the saved state has a part {name!r}, but the Trainer was made without it")
        if name == "optimizer":
            trainer.trainables.load_optimizer_state(value)
        else:
            part.load_state_dict(value)


def state_of(trainer: Trainer) -> dict[str, Any]:
    """Return the whole state, made of numbers, texts, lists, dicts and tensors only.

    ``epoch`` and ``batch`` are the next ones to train on: inside ``on_epoch_end`` the following epoch.
    """
    loop = trainer.loop_state
    epoch, batch = loop.position
    weights = trainer.module.state_dict()
    return {
        "module": {name: weights[name] for name in weights if name not in trainer.fixed},
        "training": trainer.training_state(),
        "trainable": {"begun": loop.resuming.trainable_names, "now": trainer.trainables.names},
        "meter": loop.meter.state_dict(),
        "callbacks": loop.callbacks.state_dict() if loop.callbacks is not None else {},
        "epoch": epoch,
        "batch": batch,
        "logs": {name: float(value) for name, value in loop.logs.items() if np.ndim(value) == 0},
        "stopped": loop.stop.reason,
        "step": loop.step.state_dict() if loop.step is not None else {},
        "data": loop.feed.state_dict() if loop.feed is not None else {},
        "random": generator_states(trainer.device),
    }


def load_state(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Restore what `state_of` returned.

    Raises:
        TrainingError: the state belongs to another module or to other callbacks.
    """
    loop = trainer.loop_state
    changing = {name: value for name, value in trainer.module.state_dict().items() if name not in trainer.fixed}
    problems = state_dict_mismatches(changing, state["module"])
    if problems:
        raise TrainingError(several("the saved state belongs to another module", problems))
    loop.position, loop.logs = (int(state["epoch"]), int(state["batch"])), dict(state["logs"])
    trainer.module.load_state_dict(state["module"], strict=False)
    _load_trainable(trainer, state.get("trainable"))
    trainer.load_training_state(state["training"])
    loop.meter.load_state_dict(on_device(state["meter"], trainer.device))
    if loop.step is not None and state["step"]:
        loop.step.load_state_dict(on_device(state["step"], trainer.device))
    if loop.callbacks is not None:
        loop.callbacks.load_state_dict(state["callbacks"])
    restore_generators(state["random"], trainer.device)
    if loop.feed is not None and state["data"]:
        loop.feed.load_state_dict(state["data"])
    if state["stopped"] is not None:
        trainer.stop(state["stopped"])
        loop.resuming.finished = True


def _load_trainable(trainer: Trainer, state: Mapping[str, Any] | None) -> None:
    """Freeze and unfreeze as callbacks did before the snapshot, unless the script now trains other parameters."""
    if state is not None and state["begun"] == trainer.loop_state.resuming.trainable_names:
        trainer.trainables.set_names(state["now"])
    trainer.trainables.follow()


def on_device(tree: Any, device: torch.device) -> Any:
    """Return ``tree`` with the tensors in its dicts, lists and tuples on ``device``."""
    if isinstance(tree, torch.Tensor):
        return tree.to(device)
    if isinstance(tree, Mapping):
        return {name: on_device(value, device) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(on_device(value, device) for value in tree)
    return tree
