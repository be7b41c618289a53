"""The parts of Keras's `Model` API besides ``fit``, implemented for a torch module."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from inspect import signature
from typing import Any

import torch

from regraft.callbacks.callback_list import CallbackList
from regraft.distributed.world import current, leads
from regraft.screen import QuietScreen, Screen, screen_for
from regraft.training.argument_checks import check_agreement
from regraft.training.batches.epoch_iterator import feed_of
from regraft.training.batches.loaders import warn_of_order
from regraft.training.components import Components
from regraft.training.evaluation import as_keras_result, run_prediction, run_test
from regraft.training.loop_state import LoopState, Stop
from regraft.training.metrics.epoch_metrics import EpochMetrics, MetricView, views_of
from regraft.training.modes import evaluating, modes_kept
from regraft.training.module_weights import ModuleWeights
from regraft.training.pytree import concatenate, to_numpy, tree_map
from regraft.training.sharding.led_callbacks import LedCallbacks
from regraft.training.steps import moved
from regraft.training.unlike_keras import explanation, reject_unknown_arguments

Verbose = int | str


class KerasApi(ModuleWeights):
    """Calls, evaluation, prediction, metrics and messages of a `Trainer`, under the names of Keras's `Model`."""

    device: torch.device
    meter: EpochMetrics
    loop_state: LoopState
    components: Components
    _screen: Screen | None
    loss: Any
    stop_evaluating: bool
    stop_predicting: bool
    built = True
    jit_compile = False

    def __call__(self, x: Any, training: bool = False) -> Any:
        """Return the module's output for a batch, with the gradient graph unless gradients are off.

        Args:
            x: a tensor or array; a tuple of them becomes the module's arguments, a dict its keyword arguments.
            training: whether dropout and batch normalization work as in training; afterwards the mode of
                each submodule is restored.
        """
        inputs = self.components.input_types
        inputs.refresh()
        with modes_kept(self.module):
            self.module.train(bool(training))
            return inputs.call(self.module, moved(x, self.device))

    def callback_list(
        self, callbacks: Any, verbose: Verbose, epochs: int, steps: int | None, *, history: bool = False
    ) -> CallbackList:
        """Return the callbacks of a loop, with a `ProgbarLogger` unless it is silent, and a `History` if asked for."""
        led = current().size > 1
        if isinstance(callbacks, CallbackList) and not led:
            return callbacks
        if isinstance(callbacks, CallbackList):
            callbacks = callbacks.callbacks
        params = {"verbose": verbose, "epochs": epochs, "steps": steps}
        kind = LedCallbacks if led else CallbackList
        return kind(callbacks, add_history=history, add_progbar=verbose != 0, model=self, **params)

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
        **unknown: Any,
    ) -> Any:
        """Return the loss and the metrics of data: a dict, a list as `metrics_names`, or the loss alone."""
        reject_unknown_arguments("evaluate", unknown, signature(KerasApi.evaluate).parameters)
        check_agreement(self.module, self.screen, x)
        feed = feed_of(x, y, sample_weight, batch_size, steps)
        hooks = self.callback_list(callbacks, verbose, 1, feed.num_batches)
        with closing(hooks), evaluating(self.module):
            return as_keras_result(run_test(self, feed, hooks), return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        **unknown: Any,
    ) -> Any:
        """Return the outputs of the module for all of ``x``, as arrays in the structure that the module returns."""
        reject_unknown_arguments("predict", unknown, signature(KerasApi.predict).parameters)
        check_agreement(self.module, self.screen, x)
        warn_of_order(x)
        feed = feed_of(x, None, None, batch_size, steps)
        hooks = self.callback_list(callbacks, verbose, 1, feed.num_batches)
        self.components.input_types.refresh()
        with closing(hooks), evaluating(self.module):
            return concatenate(run_prediction(self, feed, hooks))

    def predict_step(self, batch: Any) -> Any:
        """Return the outputs of the module for one batch, as tensors without gradient."""
        x = moved(batch[0] if isinstance(batch, (tuple, list)) else batch, self.device)
        with torch.no_grad(), self.components.precision.autocast():
            return self.components.input_types.call(self.components.forward, x)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Return the loss and the metrics of one batch, as `evaluate` does."""
        meter = self.components.new_meter()
        with evaluating(self.module), torch.no_grad():
            self.components.forward_step()((x, y, sample_weight), meter)
        return as_keras_result(dict(meter.logs()), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs of the module for one batch, as arrays."""
        self.components.input_types.refresh()
        with evaluating(self.module):
            return tree_map(to_numpy, self.predict_step((x,)))

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs; a copy made inside a hook is not running a ``fit``."""
        return vars(self) | {"fitting": False}

    def __getattr__(self, name: str) -> Any:
        module = self.__dict__.get("module")
        if module is None or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        hint = explanation(name)
        if not hint and hasattr(module, name):
            hint = f"; the torch module has one: model.module.{name}"
        raise AttributeError(f"{type(self).__name__} has no {name!r}{hint}")

    @property
    def screen(self) -> Screen:
        """The screen of the constructor, or one for standard output; a quiet one in processes that follow another."""
        if self.components.update.sharding is not None and not leads():
            return QuietScreen()
        return self._screen or screen_for()

    @screen.setter
    def screen(self, screen: Screen | None) -> None:
        self._screen = screen

    def say(self, label: str, text: str) -> None:
        """Print a fact on the screen."""
        self.screen.line(label, text)

    def warn(self, text: str) -> None:
        """Print a warning on the screen."""
        self.screen.warn(text)

    def _saw_larger_batch(self) -> bool:
        """Return whether this epoch already had several samples."""
        return self.loop_state.meter.size > 1

    def new_meter(self) -> EpochMetrics:
        """Return an empty meter for the loss and the metrics."""
        return self.components.new_meter()

    @property
    def stop_training(self) -> bool:
        """True if ``fit`` ends after this batch. Setting it records in `stop_reason` which callback did so."""
        return self.loop_state.stop.requested

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        if value:
            self.loop_state.request_stop()
        else:
            self.loop_state.stop = Stop()

    def stop(self, reason: str) -> None:
        """End ``fit`` after this batch; ``reason`` is a text for people."""
        self.loop_state.request_stop(reason)

    @property
    def metrics_names(self) -> list[str]:
        """The names of the figures of a batch, ``loss`` first."""
        return self.meter.names()

    def names_are_certain(self) -> bool:
        """Return whether the figures are exactly `metrics_names`: metrics by name, one loss."""
        metrics = [one for some in self.components.metrics for one in (some if isinstance(some, list) else [some])]
        return not isinstance(self.loss, (Mapping, list, tuple)) and all(isinstance(g, str | None) for g in metrics)

    def metric_directions(self) -> dict[str, str]:
        """Return for each figure whether a lower (``"min"``) or higher (``"max"``) value is better, where known."""
        return self.meter.directions()

    @property
    def compiled(self) -> bool:
        """True if there is a loss, so that ``fit`` and ``evaluate`` can be called."""
        return self.components.objective is not None

    @property
    def metrics(self) -> list[MetricView]:
        """The figures of a batch, ``loss`` first: objects with ``name``, ``result()`` and ``reset_state()``."""
        return views_of(self.meter)

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the figures of the training epoch so far."""
        return dict(self.meter.logs())

    def reset_metrics(self) -> None:
        """Reset the figures of the current training epoch."""
        self.meter.reset()
