"""Batches of objects that return whole batches by number, such as ``keras.utils.PyDataset`` and ``Sequence``."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from torch.utils.data import DataLoader, Dataset

from regraft.errors import TrainingError
from regraft.randomness import permutation
from regraft.training.batches.loaders import with_number_lists


class IndexedBatches:
    """The batches ``dataset[0]``, ``dataset[1]`` ... .

    The hooks ``on_epoch_begin`` and ``on_epoch_end`` of the data set are called when an epoch of training, or a
    validation, begins and ends. With ``workers`` above 1, batches are read ahead in threads, or in processes if
    ``use_multiprocessing`` is set.

    Args:
        dataset: object with ``__getitem__``, and ``num_batches`` or ``__len__``.
        shuffle: whether each epoch has a new order of the batches; the samples of a batch stay together, as in Keras.
        seed: seed of the orders, together with the epoch.

    Raises:
        TrainingError: the data set has no batches.
    """

    def __init__(self, dataset: Any, *, shuffle: bool | str = False, seed: int = 0) -> None:
        self.dataset, self.seed = dataset, seed
        self.shuffle = bool(shuffle) and shuffle != "batch"
        if _number_of_batches(dataset) == 0:
            raise TrainingError(f"{type(dataset).__name__} has 0 batches")

    @property
    def endless(self) -> bool:
        """True if the data is known to be infinite."""
        return _number_of_batches(self.dataset) is None

    def __len__(self) -> int:
        """Return the number of batches, which may change each epoch; raise `TypeError` if it is infinite."""
        number = _number_of_batches(self.dataset)
        if number is None:
            raise TypeError("the data set is infinite")
        return number

    def epoch_begin(self) -> None:
        """Call the data set's hook for the beginning of an epoch."""
        self._call("on_epoch_begin")

    def epoch_end(self) -> None:
        """Call the data set's hook for the end of an epoch."""
        self._call("on_epoch_end")

    def _call(self, name: str) -> None:
        hook = getattr(self.dataset, name, None)
        if callable(hook):
            hook()

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch, from number ``start`` on."""
        number = _number_of_batches(self.dataset)
        order: Iterable[int] = itertools.count(start) if number is None else range(start, number)
        if self.shuffle and number is not None:
            order = permutation(number, "order", self.seed, epoch)[start:].tolist()
        workers = int(getattr(self.dataset, "workers", 1) or 0)
        if workers > 0 and getattr(self.dataset, "use_multiprocessing", False):
            loader = DataLoader(
                _Batches(self.dataset), batch_size=None, sampler=order, num_workers=workers, collate_fn=_unchanged
            )
            return iter(loader)
        if workers > 1:
            return self._threaded(order, workers)
        return map(self._read, order)

    def _threaded(self, order: Iterable[int], workers: int) -> Iterator[Any]:
        ahead = max(workers, int(getattr(self.dataset, "max_queue_size", 10)))
        waiting: deque[Future[Any]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            try:
                for number in order:
                    waiting.append(pool.submit(self._read, number))
                    if len(waiting) >= ahead:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _read(self, number: int) -> Any:
        return _batch(self.dataset, number)


class _Batches(Dataset[Any]):
    """The data set for worker processes."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, number: int) -> Any:
        return _batch(self.dataset, number)


def _unchanged(batch: Any) -> Any:
    return batch


def _batch(dataset: Any, number: int) -> Any:
    """Return batch ``number`` as a tuple, a dict or an array.

    Raises:
        TrainingError: it is a tuple of more than three parts.
    """
    batch = dataset[number]
    if isinstance(batch, (tuple, list)):
        if not 1 <= len(batch) <= 3:
            raise TrainingError(
                f"{type(dataset).__name__}[{number}] has {len(batch)} parts; expected (x,), (x, y) or (x, y, weight)"
            )
        return tuple(with_number_lists(batch))
    return batch


def _number_of_batches(dataset: Any) -> int | None:
    """Return the number of batches; None if it is infinite."""
    if hasattr(dataset, "num_batches"):
        number = dataset.num_batches
        return None if number is None else int(number)
    return len(dataset)
