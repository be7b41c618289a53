"""Evaluation and prediction loops. They do not change a running training or the mode of any submodule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch

from regraft.callbacks.callback_list import CallbackList
from regraft.training.batches.epoch_iterator import EpochIterator
from regraft.training.pytree import to_numpy, tree_map

if TYPE_CHECKING:
    from regraft.training.keras_api import KerasApi


def run_test(
    trainer: KerasApi, feed: EpochIterator, callbacks: CallbackList, after_batch: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Return the loss and the metrics of all batches of ``feed``; the module has to be in inference mode.

    Args:
        trainer: the trainer.
        feed: the batches.
        callbacks: their ``on_test_...`` hooks are called.
        after_batch: called after each batch.
    """
    forward, meter = trainer.components.evaluation_step(), trainer.components.new_meter()
    feed.restart()
    with _own_stop_flag(trainer, "stop_evaluating"):
        callbacks.on_test_begin()
        for number, batch in feed.epoch(0):
            callbacks.on_test_batch_begin(number)
            with torch.no_grad():
                forward(batch, meter)
            callbacks.on_test_batch_end(number, meter.logs())
            if trainer.stop_evaluating:
                break
            if after_batch is not None:
                after_batch()
    logs = dict(meter.logs())
    callbacks.on_test_end(logs)
    return logs


def run_prediction(trainer: KerasApi, feed: EpochIterator, callbacks: CallbackList) -> list[Any]:
    """Return the outputs for each batch of ``feed`` as arrays; the module has to be in inference mode."""
    outputs: list[Any] = []
    with _own_stop_flag(trainer, "stop_predicting"):
        callbacks.on_predict_begin()
        for number, batch in feed.epoch(0):
            callbacks.on_predict_batch_begin(number)
            result = trainer.predict_step(batch)
            outputs.append(tree_map(to_numpy, result))
            callbacks.on_predict_batch_end(number, {"outputs": result})
            if trainer.stop_predicting:
                break
        callbacks.on_predict_end()
    return outputs


@contextmanager
def _own_stop_flag(trainer: KerasApi, flag: Literal["stop_evaluating", "stop_predicting"]) -> Iterator[None]:
    """Restore the flag at the end: a loop inside a callback of another loop does not stop the outer one."""
    before = getattr(trainer, flag)
    setattr(trainer, flag, False)
    try:
        yield
    finally:
        setattr(trainer, flag, before)


def as_keras_result(logs: Mapping[str, Any], return_dict: bool) -> Any:
    """Return figures as Keras does: a dict if asked for; else a list, or the loss alone if there are no metrics."""
    if return_dict:
        return dict(logs)
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
