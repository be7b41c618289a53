"""Cuts what a source yields into epochs, as ``steps_per_epoch`` says."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from regraft.errors import TrainingError
from regraft.training.batches import OneShotBatches, batches_of, split_off
from regraft.training.steps import unpack
from regraft.training.structure import is_array


class Feed:
    """The batches of ``fit``, ``evaluate`` or ``predict``, epoch by epoch.

    Args:
        source: a `BatchSource`; its ``__len__`` may raise `TypeError`.
        steps: batches of an epoch; None: one pass over the source. With it, an epoch goes on where the last one ended.

    Attributes:
        num_batches: batches of an epoch, None where it is not known yet.
    """

    def __init__(self, source: Any, steps: int | None = None) -> None:
        self.source = source
        self.steps = steps
        self.num_batches = steps or _length(source)
        self._pass = 0
        self._rest: Iterator[Any] | None = None
        self._left: int | None = None

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[int, Any]]:
        """Yield ``(number, batch)`` of an epoch, from number ``start`` on.

        Raises:
            TrainingError: there is nothing left for this epoch, as after the end of a generator.
        """
        number = start - 1
        batches = (
            enumerate(self.source.epoch(epoch, start), start) if self.steps is None else self._some(self.steps, start)
        )
        for number, batch in batches:
            yield number, batch
        if number < 0:
            hint = "pass steps_per_epoch, or something that can be iterated again"
            raise TrainingError(f"the data had no batch for epoch {epoch + 1}: {hint}")
        if self.steps is None:
            self.num_batches = number + 1

    def restart(self) -> None:
        """Begin again at the first batch, where the source can."""
        self._rest, self._pass = None, 0

    def _some(self, steps: int, start: int) -> Iterator[tuple[int, Any]]:
        if self._rest is None:
            self._begin_pass()
        for number in range(start, steps):
            batch = self._next()
            if batch is None:
                if number == 0:
                    return
                warnings.warn(
                    f"the data ran out after {number} of the {steps} steps of the epoch", RuntimeWarning, stacklevel=4
                )
                break
            yield number, batch[0]
        if self._left == 0:
            self._rest = None

    def _begin_pass(self) -> None:
        self._rest = iter(self.source.epoch(self._pass))
        self._left = _length(self.source)
        if not isinstance(self.source, OneShotBatches):
            self._pass += 1

    def _next(self) -> tuple[Any] | None:
        if self._rest is None or self._left == 0:
            return None
        for batch in self._rest:
            if self._left is not None:
                self._left -= 1
            return (batch,)
        self._rest = None
        return None


def _length(source: Any) -> int | None:
    with contextlib.suppress(TypeError, AttributeError, NotImplementedError):
        return len(source)
    return None


def feed_of(
    x: Any,
    y: Any,
    sample_weight: Any,
    batch_size: int | None,
    steps: int | None,
    *,
    shuffle: bool | str = False,
    seed: int = 0,
) -> Feed:
    """Return the batches of whatever ``fit``, ``evaluate`` or ``predict`` were given."""
    source = batches_of(x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, seed=seed, steps=steps)
    return Feed(source, steps)


def validation_feed(data: Any, batch_size: int | None, steps: int | None) -> Feed | None:
    """Return the batches of ``validation_data``: ``(x, y)``, ``(x, y, weight)``, or what ``x`` of ``fit`` may be."""
    if data is None:
        return None
    arrays = isinstance(data, list) and len(data) in (2, 3) and all(is_array(part) for part in data)
    x, y, weight = unpack(data) if isinstance(data, tuple) or arrays else (data, None, None)
    return feed_of(x, y, weight, batch_size, steps)


def with_validation(x: Any, y: Any, sample_weight: Any, split: float, data: Any) -> tuple[tuple[Any, Any, Any], Any]:
    """Return ``(x, y, sample_weight)`` to train on, and the validation data: given, split off, or brought by ``x``."""
    if data is not None:
        return (x, y, sample_weight), data
    if split:
        return split_off(x, y, sample_weight, split)
    return (x, y, sample_weight), getattr(x, "validation", None)
