"""Evaluation and prediction: they leave a running training, and the mode of every submodule, as they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch

from regraft.callbacks.callback_list import CallbackList
from regraft.training.agreement import check_agreement
from regraft.training.feed import Feed, feed_of
from regraft.training.modes import evaluating
from regraft.training.setup import Setup, Verbose
from regraft.training.steps import moved, unpack
from regraft.training.structure import concatenate, to_numpy, tree_map

if TYPE_CHECKING:
    from regraft.training.resumption import Resumption


class Evaluation(Setup):
    """The part of a `Trainer` that runs the module without training it."""

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss and the metrics of data: a dict, a list as `metrics_names`, or the loss alone."""
        check_agreement(self.module, self.screen, x)
        feed = feed_of(x, y, sample_weight, batch_size, steps)
        hooks = self.hooks_of(callbacks, verbose, 1, feed.num_batches)
        with closing(hooks), evaluating(self.module):
            logs = self._test(feed, hooks)
        return logs if return_dict else listed(logs)

    def _test(self, feed: Feed, hooks: CallbackList, resumption: Resumption | None = None) -> dict[str, Any]:
        forward, meter = self.forward_step(), self.new_meter()
        feed.restart()
        with self._asked("stop_evaluating"):
            hooks.on_test_begin()
            for number, batch in feed.epoch(0):
                hooks.on_test_batch_begin(number)
                with torch.no_grad():
                    forward(batch, meter)
                hooks.on_test_batch_end(number, meter.logs())
                if self.stop_evaluating:
                    break
                if resumption is not None:
                    resumption.after_test_batch()
        logs = dict(meter.logs())
        hooks.on_test_end(logs)
        return logs

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Return the outputs of the module for all of ``x``, as arrays in the structure that the module gives."""
        check_agreement(self.module, self.screen, x)
        feed = feed_of(x, None, None, batch_size, steps)
        hooks = self.hooks_of(callbacks, verbose, 1, feed.num_batches)
        self.input_types.refresh()
        outputs: list[Any] = []
        with closing(hooks), evaluating(self.module), self._asked("stop_predicting"):
            hooks.on_predict_begin()
            for number, batch in feed.epoch(0):
                hooks.on_predict_batch_begin(number)
                given = self.predict_step(batch)
                outputs.append(tree_map(to_numpy, given))
                hooks.on_predict_batch_end(number, {"outputs": given})
                if self.stop_predicting:
                    break
            hooks.on_predict_end()
        return concatenate(outputs)

    def predict_step(self, batch: Any) -> Any:
        """Return the outputs of the module for one batch, as tensors without gradient."""
        x = moved(unpack(batch)[0], self.device)
        with torch.no_grad(), self.precision.autocast():
            return self.input_types.call(self.forward, x)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Return the loss and the metrics of one batch, as `evaluate` does."""
        meter = self.new_meter()
        with evaluating(self.module), torch.no_grad():
            self.forward_step()((x, y, sample_weight), meter)
        logs = dict(meter.logs())
        return logs if return_dict else listed(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs of the module for one batch, as arrays."""
        self.input_types.refresh()
        with evaluating(self.module):
            return tree_map(to_numpy, self.predict_step((x,)))

    @contextmanager
    def _asked(self, stop: Literal["stop_evaluating", "stop_predicting"]) -> Iterator[None]:
        """Let a loop be stopped by its own hooks alone: one that runs inside a hook of another does not stop that."""
        before = getattr(self, stop)
        setattr(self, stop, False)
        try:
            yield
        finally:
            setattr(self, stop, before)


def listed(logs: Mapping[str, Any]) -> Any:
    """Return figures as Keras lists them: the loss alone where there is nothing else."""
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
