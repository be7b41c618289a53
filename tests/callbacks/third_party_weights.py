"""Small callbacks in the manner of published ones that read and set weights as Keras's variables.

Written for these tests; each function takes the module of callbacks, and ``outcome`` of an object is compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def moving_average(source: Any) -> Any:
    class MovingAverage(source.Callback):  # type: ignore[misc]
        """Evaluates with an exponential moving average, which it swaps in by ``assign``, and leaves at the end."""

        def __init__(self, decay: float = 0.7) -> None:
            super().__init__()
            self.decay, self.outcome = decay, []

        def on_train_begin(self, logs: Any = None) -> None:
            self.average = [w.numpy() * 1.0 for w in self.model.trainable_weights]

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            for i, w in enumerate(self.model.trainable_variables):
                self.average[i] = self.decay * self.average[i] + (1 - self.decay) * w.numpy()

        def swap(self) -> None:
            for i, w in enumerate(self.model.trainable_weights):
                now = w.numpy() * 1.0
                w.assign(self.average[i])
                self.average[i] = now

        def on_test_begin(self, logs: Any = None) -> None:
            self.swap()

        def on_test_end(self, logs: Any = None) -> None:
            self.swap()
            self.outcome.append({name: float(value) for name, value in logs.items()})

        def on_train_end(self, logs: Any = None) -> None:
            self.swap()
            self.outcome.append([float(w.numpy().sum()) for w in self.model.weights])

    return MovingAverage


def norms(source: Any) -> Any:
    class Norms(source.Callback):  # type: ignore[misc]
        """Logs norm, spread and name of each weight, as dashboards do."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            rows = []
            for layer in self.model.layers:
                for w in layer.weights:
                    assert isinstance(w.name, str)
                    assert isinstance(w.path, str)
                    rows.append(
                        [float(np.linalg.norm(w)), float(np.std(w.numpy())), int(np.prod(w.shape)), w.trainable]
                    )
                logs[f"norm/{len(rows)}"] = rows[-1][0]
            self.outcome = [*getattr(self, "outcome", []), rows]

    return Norms


def shrinking(source: Any) -> Any:
    class Shrinking(source.Callback):  # type: ignore[misc]
        """Decays weights by hand after each batch, and adds a drift to the biases."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            for w in self.model.trainable_weights:
                if len(w.shape) > 1:
                    w.assign(w * 0.99)
                else:
                    w.assign_add(np.full(tuple(w.shape), 0.01, "float32"))
                    w.assign_sub(np.full(tuple(w.shape), 0.002, "float32"))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.outcome = [*getattr(self, "outcome", []), [float(np.sum(w.numpy())) for w in self.model.weights]]

    return Shrinking


def backtracking(source: Any) -> Any:
    class Backtracking(source.ReduceLROnPlateau):  # type: ignore[misc]
        """Goes back to the best weights whenever it lowers the rate."""

        outcome: list[Any]

        def on_train_begin(self, logs: Any = None) -> None:
            super().on_train_begin(logs)
            self.outcome, self.kept = [], None

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            before = float(self.model.optimizer.learning_rate)
            super().on_epoch_end(epoch, logs)
            if self.wait == 0 and float(self.model.optimizer.learning_rate) == before:
                self.kept = [w.numpy() for w in self.model.weights]
            elif float(self.model.optimizer.learning_rate) < before:
                for w, value in zip(self.model.weights, self.kept, strict=True):
                    w.assign(value)
            self.outcome.append([self.wait, float(self.best), self.model.evaluate(*DATA, verbose=0)])

    return Backtracking


def snapshots(source: Any) -> Any:
    class Snapshots(source.Callback):  # type: ignore[misc]
        """Keeps the weights of every other epoch, and predicts with the mean of what they answer."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch % 2:
                self.kept = [*getattr(self, "kept", []), self.model.get_weights()]

        def on_train_end(self, logs: Any = None) -> None:
            last, answers = self.model.get_weights(), []
            for weights in self.kept:
                self.model.set_weights(weights)
                answers.append(self.model.predict(DATA[0], verbose=0))
            self.model.set_weights(last)
            self.outcome = [float(v) for v in np.mean(answers, axis=0).ravel()]

    return Snapshots


_X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
DATA = (_X, _X.sum(1, keepdims=True))
KINDS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "moving_average": (moving_average, {}),
    "norms": (norms, {}),
    "shrinking": (shrinking, {}),
    "backtracking": (backtracking, {"monitor": "loss", "factor": 0.5, "patience": 1, "min_delta": 0.2}),
    "snapshots": (snapshots, {}),
}
