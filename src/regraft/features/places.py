"""Independence of a photo's features from its place in a batch on the processor, decided operation by operation.

A comparison of features alone is not enough. An exponential that is computed one number at a time at the end of a block
differs in one value of a few hundred, and rounding hides it in most photos. So each operation of a network is judged
by its kind (`operations`):

* it moves numbers or rounds them exactly: the place cannot matter;
* it approximates a function of one number: its layout in memory must be one in which no number is computed apart from
  vectors, or all photos have theirs at the same places (`tails`);
* it adds up numbers: its results for equal photos at different places are compared, all of them. Another order of
  adding changes a good part of them, so they need not be many. Where they are few, or rounded to bfloat16, the
  operation is repeated with contents whose sums are nothing but rounding errors;
* anything else: nobody knows, and photos are run one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from regraft.features.operations import ROUNDED, is_faithful, is_sum, name_of
from regraft.features.repeats import repeats_agree
from regraft.features.tails import Elementwise, elementwise


class Places(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches a network run a batch in which the same photos are at several places.

    Args:
        batch: the first tensor that depends on photos, shape (B, ...).
        kinds: which photo is at each of the B places.
        threads: of torch, that share an operation.

    Attributes:
        reason: why a place may matter, or None.
        hopeless: whether it may in batches of any size.
        layouts: of the elementwise operations, from which other batch sizes can be judged.
    """

    def __init__(self, batch: torch.Tensor, kinds: Sequence[int], threads: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reason: str | None = None
        self.hopeless = False
        self.layouts: set[Elementwise] = set()
        self._kinds, self._threads = list(kinds), threads
        self._depends: dict[int, StorageWeakRef] = {}  # memory that holds something of photos
        self._repeated: set[str] = set()
        self._mark([batch])

    def fits(self, batch_size: int) -> bool:
        """Return whether a batch size could do, as far as the layouts tell."""
        return all(layout.same_everywhere(batch_size, self._threads) for layout in self.layouts)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and judge it."""
        options = kwargs or {}
        sources = [t for t in _tensors((args, options)) if self._is_of_photos(t)]
        if not sources:
            return function(*args, **options)
        name = name_of(function)
        output = function(*args, **options)
        results = _tensors(output)
        self._mark(results)
        if name == "copy":
            self._mark([args[0]])
        if self.reason is None:
            self.reason = self._judge(function, name, args, options, sources, results)
        return output

    def _judge(
        self,
        function: Any,
        name: str,
        args: Any,
        options: Any,
        sources: list[torch.Tensor],
        results: list[torch.Tensor],
    ) -> str | None:
        if is_faithful(name, args, options) or not any(t.is_floating_point() for t in results):
            return None
        if name in ROUNDED and len(results) == 1:
            layout = elementwise(results[0], sources[0], len(self._kinds))
            if layout is None or len(sources) > 1:
                self.hopeless = True
                return f"{name} reads memory in an order that is not known"
            self.layouts.add(layout)
            return None
        if not is_sum(name, args, options):
            self.hopeless = True
            return f"nothing is known about the operation {name!r}"
        if not all(self._rows_agree(result) for result in results if result.numel()):
            return f"{name} has other bits at other places"
        if not self._repeats_agree(function, args, options, results):
            return f"{name} has other bits at other places with other photos"
        return None

    def _rows_agree(self, result: torch.Tensor) -> bool:
        """Return whether equal photos have equal rows."""
        size = len(self._kinds)
        if result.dim() == 0 or result.shape[0] % size:
            return False
        rows = [_bits(row) for row in result.unflatten(0, (size, -1))]  # type: ignore[no-untyped-call]
        first = [self._kinds.index(kind) for kind in self._kinds]
        return all(np.array_equal(rows[i], rows[k]) for i, k in enumerate(first) if k != i)

    def _repeats_agree(self, function: Any, args: Any, options: Any, results: list[torch.Tensor]) -> bool:
        about = str((str(function), *map(_about, tree_leaves((args, options)))))
        if about in self._repeated:
            return True
        self._repeated.add(about)
        return repeats_agree(function, args, options, results[0], len(self._kinds), self._is_of_photos)

    def _is_of_photos(self, t: torch.Tensor) -> bool:
        return t.untyped_storage()._cdata in self._depends

    def _mark(self, tensors: Sequence[torch.Tensor]) -> None:
        for t in tensors:
            storage = t.untyped_storage()
            if storage._cdata not in self._depends:
                reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                self._depends[storage._cdata] = reference  # no other storage gets its address then


def _tensors(value: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


def _bits(t: torch.Tensor) -> NDArray[np.generic]:
    """Return the numbers of a tensor as integers in the order of memory: comparing them takes a quarter of the time."""
    in_memory = t.permute(sorted(range(t.dim()), key=t.stride, reverse=True))
    kind = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[t.element_size()]
    bits: NDArray[np.generic] = in_memory.view(kind).numpy()
    return bits


def _about(leaf: Any) -> Any:
    return (tuple(leaf.shape), leaf.stride(), leaf.dtype) if isinstance(leaf, torch.Tensor) else leaf
