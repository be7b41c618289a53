"""The batches of a source, divided into epochs by ``steps_per_epoch``."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import IterableDataset

from regraft.distributed.shards import Bounds
from regraft.errors import TrainingError
from regraft.training.batches.data_adapters import as_batch_source, is_numbers, split_validation
from regraft.training.batches.indexed import IndexedBatches
from regraft.training.batches.loaders import IterableBatches, KeptBatches, LoaderBatches, OneShotBatches
from regraft.training.counts import positive_count, whole_number
from regraft.training.numerics import generator_states, restore_generators
from regraft.training.pytree import is_array
from regraft.training.steps import unpack

#: Batches of an epoch of unknown length after which a warning mentions endless data.
LONG = 1000


class EpochIterator:
    """The batches of ``fit``, ``evaluate`` or ``predict``, epoch by epoch.

    Args:
        source: a `BatchSource`; its ``__len__`` may raise `TypeError`.
        steps: batches of an epoch; None: one pass over the source. With it, an epoch begins where the last one ended.

    Attributes:
        num_batches: batches of an epoch, None where it is not known yet.
        device: device whose random state is recorded at the start of each pass, so that training can resume within it;
            None if it never will.
        bounds: the rows of each batch that this process needs; None for whole batches. A source with a method
            ``epoch_part(epoch, start, bounds)`` reads only those.

    Raises:
        TrainingError: the source is known to have no end, and there is no number of steps.
    """

    def __init__(self, source: Any, steps: int | None = None) -> None:
        if steps is None and getattr(source, "endless", False):
            raise TrainingError(f"the data is infinite, so an epoch would not end\n  {_STEPS}")
        self.source = source
        self.steps = steps
        self.num_batches = steps or _length(source)
        self.device: torch.device | None = None
        self.bounds: Bounds | None = None
        self._pass = 0
        self._taken = 0
        self._begun: dict[str, Any] | None = None
        self._rest: Iterator[Any] | None = None
        self._left: int | None = None
        self._pending: Mapping[str, Any] | None = None

    @property
    def seekable(self) -> bool:
        """True if training can resume inside an epoch; a generator cannot be rewound."""
        return not isinstance(self.source, OneShotBatches)

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the data: the pass, the batches read from it, and the random state at its start.

        ``begun`` contains the states of all generators just before the pass; the order of samples may depend on them.
        """
        own = [generator.get_state() for generator in self._generators]
        if self._pending is not None:  # not resumed yet
            return {**self._pending, "own": own}
        inside = self._rest is not None and self._taken > 0
        loader = self.source.state() if inside and isinstance(self.source, LoaderBatches) else None
        return {
            "pass": self._pass,
            "taken": self._taken if inside else 0,
            "begun": self._begun if inside else None,
            "loader": loader,
            "own": own,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from that position at the next `epoch`. The global generators must have their state of that moment."""
        self._rest, self._pending = None, state
        for generator, own in zip(self._generators, state["own"], strict=False):
            generator.set_state(own)

    @property
    def _generators(self) -> list[torch.Generator]:
        return self.source.generators if isinstance(self.source, LoaderBatches) else []

    def _open(self, number: int, start: int) -> Iterator[Any]:
        """Return the batches of pass ``number`` over the source from ``start`` on."""
        pending, self._pending = self._pending, None
        self._pass, self._taken = number, start
        if pending is not None and start and not pending["taken"]:
            return iter(())  # the pass had ended: training resumes with the validation after it
        if pending is None or not start:
            self._begun = None if self.device is None else generator_states(self.device, self._generators)
            return self._read(number, start)
        assert self.device is not None  # what was begun to be trained on
        self._begun = pending["begun"]
        if pending["loader"] is not None:
            return _stream(self.source.restored(pending["loader"]))
        now = generator_states(self.device, self._generators)
        restore_generators(pending["begun"], self.device, self._generators)
        batches = self._read(number, start)
        restore_generators(now, self.device, self._generators)
        return batches

    def _read(self, number: int, start: int) -> Iterator[Any]:
        """Return the batches of pass ``number`` from ``start`` on, or the parts of them that this process needs."""
        part = getattr(self.source, "epoch_part", None)
        if self.bounds is not None and callable(part):
            return iter(part(number, start, self.bounds))
        return _stream(self.source.epoch(number, start) if start else self.source.epoch(number))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[int, Any]]:
        """Yield ``(number, batch)`` of an epoch, from number ``start`` on.

        Raises:
            TrainingError: there are no batches left for this epoch, as after the end of a generator.
        """
        number = start - 1
        if not start:
            self._call_hook("epoch_begin")
        for number, batch in (
            self._one_pass(epoch, start) if self.steps is None else self._next_steps(self.steps, start)
        ):
            yield number, batch
        if number < 0:
            raise TrainingError(self._no_batch_message(epoch))
        if self.steps is None:
            self.num_batches = number + 1
        self._call_hook("epoch_end")

    def _call_hook(self, hook: str) -> None:
        """Call a hook of the source, if it has that hook."""
        call = getattr(self.source, hook, None)
        if call is not None:
            call()

    def _no_batch_message(self, epoch: int) -> str:
        if epoch == 0 and self._pass == 0:
            return (
                "the data yielded no batch: it is empty, or an exhausted generator (a DataLoader with "
                "drop_last=True has no batch if there are fewer samples than batch_size)"
            )
        return f"the data had no batch for epoch {epoch + 1}: {_AGAIN}"

    def planned_epochs(self, first: Any, end: Any) -> range:
        """Return the epochs of a training, after checking that the data suffices, as far as this is known.

        Raises:
            TrainingError: a number is not whole or negative, or a generator has several epochs, but no number of steps.
        """
        planned = range(whole_number("initial_epoch", first), whole_number("epochs", end))
        if planned.start < 0:
            raise TrainingError(f"initial_epoch is {planned.start}; expected 0 or more: epochs are counted from 0")
        if len(planned) > 1 and self.steps is None and not self.seekable:
            raise TrainingError(f"x is a generator, which is read once, but fit has {len(planned)} epochs: {_AGAIN}")
        return planned

    def restart(self) -> None:
        """Start again at the first batch, if the source can."""
        self._rest, self._pass = None, 0

    def _one_pass(self, epoch: int, start: int) -> Iterator[tuple[int, Any]]:
        self._rest = self._open(epoch, start)
        for number, batch in enumerate(self._rest, start):
            self._taken = number + 1
            if number == LONG and self.num_batches is None:
                text = f"{LONG} batches so far, and the length of the data is unknown. If it is infinite, {_STEPS}"
                warnings.warn(text, RuntimeWarning, stacklevel=self._user_level)
            yield number, batch
        self._rest = None

    def _next_steps(self, steps: int, start: int) -> Iterator[tuple[int, Any]]:
        if start >= steps or (start and self._pending is not None and not self._pending["taken"]):
            return  # the epoch had ended: training resumes with the validation after it
        if self._rest is None:
            self._begin_pass()
        for number in range(start, steps):
            batch = self._next()
            if batch is None:
                if number == 0:
                    return
                warnings.warn(
                    f"the data ran out after {number} of the {steps} steps of the epoch",
                    RuntimeWarning,
                    stacklevel=self._user_level,
                )
                break
            yield number, batch[0]
        if self._left == 0:
            self._end_pass()

    @property
    def _user_level(self) -> int:
        """The ``stacklevel`` at which a warning names the line that called ``fit``, ``evaluate`` or ``predict``."""
        return 5 if self.device is None else 6

    def _begin_pass(self) -> None:
        pending = self._pending
        number, taken = (self._pass, 0) if pending is None else (int(pending["pass"]), int(pending["taken"]))
        self._rest = self._open(number, taken)
        self._left = _length(self.source)
        if self._left is not None:
            self._left -= taken

    def _end_pass(self) -> None:
        self._rest = None
        if self.seekable:
            self._pass += 1

    def _next(self) -> tuple[Any] | None:
        if self._rest is None or self._left == 0:
            return None
        for batch in self._rest:
            self._taken += 1
            if self._left is not None:
                self._left -= 1
            return (batch,)
        self._end_pass()
        return None


_STEPS = "pass steps_per_epoch (for validation validation_steps, for evaluate and predict steps)"
_AGAIN = "pass steps_per_epoch, or something that can be iterated again, such as a list or a DataLoader"


def _stream(batches: Iterable[Any]) -> Iterator[Any]:
    return iter(batches)


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
) -> EpochIterator:
    """Return the batches of the data given to ``fit``, ``evaluate`` or ``predict``.

    Raises:
        TrainingError: the data, or a number, is invalid.
    """
    batch_size, steps = positive_count("batch_size", batch_size), positive_count("the number of steps", steps)
    if isinstance(shuffle, str) and shuffle != "batch":
        raise TrainingError(f"shuffle is {shuffle!r}; expected True, False or 'batch'")
    source = as_batch_source(x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, seed=seed, steps=steps)
    if (
        batch_size is not None
        and isinstance(source, (IterableBatches, OneShotBatches, IndexedBatches))
        and not isinstance(x, IterableDataset)
        and source is not x
    ):
        warnings.warn(
            f"batch_size={batch_size} has no effect: the {type(x).__name__} has its own batches",
            RuntimeWarning,
            stacklevel=3,
        )
    return EpochIterator(source, steps)


def validation_feed(data: Any, batch_size: int | None, steps: int | None) -> EpochIterator | None:
    """Return the batches of ``validation_data``: ``(x, y)``, ``(x, y, weight)``, or any ``x`` of ``fit``.

    A generator is read once, and every validation gets the same batches.
    """
    if data is None:
        return None
    arrays = isinstance(data, list) and len(data) in (2, 3) and all(is_array(part) or is_numbers(part) for part in data)
    x, y, weight = unpack(data) if isinstance(data, tuple) or arrays else (data, None, None)
    batch_size, steps = positive_count("validation_batch_size", batch_size), positive_count("validation_steps", steps)
    source = as_batch_source(x, y, weight, batch_size=batch_size, steps=steps)
    if isinstance(source, OneShotBatches):
        source = KeptBatches(source.iterator, steps)
    return EpochIterator(source, steps)


def with_validation(x: Any, y: Any, sample_weight: Any, split: float, data: Any) -> tuple[tuple[Any, Any, Any], Any]:
    """Return ``(x, y, sample_weight)`` to train on, and validation data: ``data``, part of ``x``, or its own."""
    if data is not None:
        return (x, y, sample_weight), data
    if split:
        return split_validation(x, y, sample_weight, split)
    return (x, y, sample_weight), getattr(x, "validation", None)
