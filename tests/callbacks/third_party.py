"""Small callbacks in the manner of those that people publish for Keras, written for these tests.

Each function takes the module of callbacks (Keras's or ours) and returns a class; ``get_value`` and ``set_value`` do
what those of ``keras.backend`` do. ``outcome`` of an object is compared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np


def get_value(variable: Any) -> Any:
    return variable.numpy()


def set_value(variable: Any, value: Any) -> None:
    variable.assign(np.asarray(value, dtype=variable.dtype))


def cyclic_rate(source: Any) -> Any:
    class CyclicRate(source.Callback):  # type: ignore[misc]
        def __init__(self, base: float = 0.01, top: float = 0.05, step: int = 3) -> None:
            super().__init__()
            self.base, self.top, self.step, self.count = base, top, step, 0.0
            self.outcome: dict[str, list[float]] = {}

        def rate(self) -> float:
            cycle = np.floor(1 + self.count / (2 * self.step))
            x = np.abs(self.count / self.step - 2 * cycle + 1)
            return float(self.base + (self.top - self.base) * np.maximum(0, 1 - x))

        def on_train_begin(self, logs: Any = {}) -> None:  # noqa: B006 (as many are written)
            set_value(self.model.optimizer.learning_rate, self.base)

        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            self.count += 1
            set_value(self.model.optimizer.learning_rate, self.rate())
            self.outcome.setdefault("lr", []).append(float(get_value(self.model.optimizer.learning_rate)))
            for name, value in logs.items():
                self.outcome.setdefault(name, []).append(float(value))

    return CyclicRate


def one_cycle(source: Any) -> Any:
    class OneCycle(source.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self.total = self.params["epochs"] * self.params["steps"]
            self.step, self.outcome = 0, []

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            share = self.step / self.total
            self.model.optimizer.learning_rate.assign(0.01 + 0.02 * (1 - abs(2 * share - 1)))
            if hasattr(self.model.optimizer, "momentum"):
                self.model.optimizer.momentum = 0.95 - 0.1 * (1 - abs(2 * share - 1))
            self.outcome.append([float(self.model.optimizer.learning_rate), float(self.model.optimizer.momentum)])
            self.step += 1

    return OneCycle


def warm_up(source: Any) -> Any:
    class WarmUp(source.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.outcome: list[Any] = []

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            done = int(self.model.optimizer.iterations.numpy())
            self.model.optimizer.learning_rate = 0.02 * min(1.0, (done + 1) / 6)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            rate = self.model.optimizer.learning_rate
            self.outcome.append(
                [int(self.model.optimizer.iterations), round(float(rate * 1.0), 6), f"{float(rate):.4f}"]
            )

    return WarmUp


def cosine_restarts(source: Any) -> Any:
    class CosineRestarts(source.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self.top = float(self.model.optimizer.learning_rate)
            self.inside, self.length, self.outcome = 0, 4, []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.inside += 1
            share = self.inside / self.length
            self.model.optimizer.learning_rate.assign(self.top * 0.5 * (1 + math.cos(math.pi * share)))
            if self.inside == self.length:
                self.inside, self.length = 0, self.length * 2
                self.kept = self.model.get_weights()
            self.outcome.append(float(self.model.optimizer.learning_rate.value))

        def on_train_end(self, logs: Any = None) -> None:
            self.model.set_weights(self.kept)

    return CosineRestarts


def rate_finder(source: Any) -> Any:
    class RateFinder:
        """Not a callback: it makes one and calls ``fit`` itself, and puts weights and rate back."""

        def __init__(self, model: Any, path: str) -> None:
            self.model, self.path, self.outcome, self.best = model, path, [], 1e9

        def look(self, batch: int, logs: Any) -> None:
            rate = get_value(self.model.optimizer.learning_rate)
            self.outcome.append([float(rate), float(logs["loss"])])
            if batch > 2 and (math.isnan(logs["loss"]) or logs["loss"] > self.best * 4):
                self.model.stop_training = True
                return
            self.best = min(self.best, logs["loss"])
            set_value(self.model.optimizer.learning_rate, rate * 3.0)

        def find(self, x: Any, y: Any) -> None:
            self.model.save_weights(self.path)
            before = get_value(self.model.optimizer.learning_rate)
            set_value(self.model.optimizer.learning_rate, 1e-3)
            look = source.LambdaCallback(on_train_batch_end=lambda batch, logs: self.look(batch, logs or {}))
            self.model.fit(x, y, batch_size=2, epochs=1, shuffle=False, verbose=0, callbacks=[look])
            self.model.load_weights(self.path)
            set_value(self.model.optimizer.learning_rate, before)

    return RateFinder


def confusion(source: Any) -> Any:
    class Confusion(source.Callback):  # type: ignore[misc]
        def __init__(self, x: Any, y: Any) -> None:
            super().__init__()
            self.x, self.y, self.outcome = x, y, []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            guessed = np.ravel(self.model.predict(self.x, verbose=0)) > 0
            table = [[int(((np.ravel(self.y) > 0) == t)[guessed == g].sum()) for g in (0, 1)] for t in (0, 1)]
            logs["val_recall"] = table[1][1] / max(1, sum(table[1]))
            self.outcome.append(table)

    return Confusion


def weight_averaging(source: Any) -> Any:
    class Averaging(source.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self.first = self.params.get("epochs") - 2

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == self.first:
                self.mean = self.model.get_weights()
            elif epoch > self.first:
                n = epoch - self.first
                self.mean = [(m * n + w) / (n + 1) for m, w in zip(self.mean, self.model.get_weights(), strict=True)]

        def on_train_end(self, logs: Any = None) -> None:
            self.model.set_weights(self.mean)
            self.outcome = [float(w.sum()) for w in self.model.get_weights()]

    return Averaging


def lookahead(source: Any) -> Any:
    class Lookahead(source.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self.slow, self.steps, self.outcome = self.model.get_weights(), 0, []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.steps += 1
            if self.steps % 3 == 0:
                fast = self.model.get_weights()
                self.slow = [s + 0.5 * (f - s) for s, f in zip(self.slow, fast, strict=True)]
                self.model.set_weights(self.slow)
                self.outcome.append([float(w.sum()) for w in self.slow])

    return Lookahead


def experiment_logger(source: Any) -> Any:
    class ExperimentLogger(source.Callback):  # type: ignore[misc]
        """In the manner of the loggers of W&B, MLflow, Neptune and Comet."""

        def on_train_begin(self, logs: Any = None) -> None:
            config = self.model.optimizer.get_config()
            json.dumps({name: value for name, value in config.items() if not isinstance(value, np.generic)})
            lines: list[str] = []
            self.model.summary(print_fn=lambda line, **_: lines.append(line))
            assert "Total params: " in "\n".join(lines)
            kept = ("epochs", "steps")
            self.outcome: list[Any] = [
                config["name"].split("_")[0],
                round(config["learning_rate"], 6),
                {n: self.params[n] for n in kept},
            ]
            self.outcome.append([self.model.count_params(), self.model.compiled, self.model.loss])

        def rate(self) -> float:
            rate = self.model.optimizer.learning_rate
            return float(rate.numpy().item()) if hasattr(rate, "numpy") else float(rate)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            row = {f"epoch/{name}": float(value) for name, value in (logs or {}).items()} | {"lr": self.rate()}
            self.outcome.append({name: row[name] for name in sorted(row)})

    return ExperimentLogger


def freezing(source: Any) -> Any:
    class Freezing(source.Callback):  # type: ignore[misc]
        """Freezes the first layer at the second epoch."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                self.outcome: list[Any] = []
            if epoch == 1:
                self.model.layers[0].trainable = False
                self.outcome.append([layer.trainable for layer in self.model.layers])

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.outcome.append([float(w.sum()) for w in self.model.layers[0].get_weights()])
            self.outcome.append([len(self.model.trainable_weights), len(self.model.non_trainable_weights)])

    return Freezing


def smoothed_stopping(source: Any) -> Any:
    class Smoothed(source.EarlyStopping):  # type: ignore[misc]
        """Watches the mean of the last two values, and notes the comparisons."""

        def on_train_begin(self, logs: Any = None) -> None:
            super().on_train_begin(logs)
            self.last: list[float] = []
            self.outcome: list[Any] = []

        def get_monitor_value(self, logs: Any) -> Any:
            value = super().get_monitor_value(logs)
            self.last = [*self.last[-1:], float(value)]
            return sum(self.last) / len(self.last)

        def _is_improvement(self, monitor_value: Any, reference_value: Any) -> Any:
            better = super()._is_improvement(monitor_value, reference_value)
            self.outcome.append(bool(better))
            if reference_value is not None:
                assert bool(self.monitor_op(monitor_value - self.min_delta, reference_value)) == bool(better)
            return better

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(epoch, logs)
            self.outcome.append([self.wait, self.best_epoch, self.stopped_epoch, round(float(self.best), 5)])

    return Smoothed


def careful_checkpoint(source: Any) -> Any:
    class Careful(source.ModelCheckpoint):  # type: ignore[misc]
        """Skips the first epoch, and notes the names of the files."""

        outcome: list[Any]

        def _save_model(self, epoch: int, batch: Any, logs: Any) -> None:
            if epoch > 0:
                super()._save_model(epoch, batch, logs)

        def _get_file_path(self, epoch: int, batch: Any, logs: Any) -> str:
            path: str = super()._get_file_path(epoch, batch, logs)
            self.outcome = [*getattr(self, "outcome", []), path.rpartition("/")[2]]
            return path

        def _should_save_model(self, epoch: int, batch: Any, logs: Any, filepath: str) -> bool:
            should = bool(super()._should_save_model(epoch, batch, logs, filepath))
            self.outcome.append(should)
            return should

    return Careful


def counted_plateau(source: Any) -> Any:
    class Counted(source.ReduceLROnPlateau):  # type: ignore[misc]
        def _reset(self) -> None:
            super()._reset()
            self.outcome: list[Any] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(epoch, logs)
            rate = float(self.model.optimizer.learning_rate)
            self.outcome.append([self.wait, self.in_cooldown(), self.cooldown_counter, round(rate, 7)])

    return Counted


PLAIN: dict[str, Callable[[Any], Any]] = {
    "cyclic_rate": cyclic_rate,
    "one_cycle": one_cycle,
    "warm_up": warm_up,
    "cosine_restarts": cosine_restarts,
    "weight_averaging": weight_averaging,
    "lookahead": lookahead,
    "experiment_logger": experiment_logger,
    "freezing": freezing,
}
