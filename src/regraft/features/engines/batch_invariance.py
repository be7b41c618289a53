"""Check on the CPU, operation by operation, that a photo's features do not depend on its place in a batch.

Comparing final features is not enough. If one value in a few hundred is computed by another approximation, rounding
hides the difference for most photos. So each operation of the network is checked according to its kind (`operations`):

* It moves or exactly rounds numbers: the place cannot matter.
* It approximates a function of one number: its memory layout must leave no remainder that is computed outside vector
  instructions, or the same remainder for every photo.
* It adds up numbers: the results for equal photos at different places are compared. Another order of addition changes
  many results, so that a few hundred are enough. If there are fewer, or if they are rounded to bfloat16, the operation
  is repeated with contents whose exact sum is zero. Then the result is rounding error only.
* Any other operation is rejected, and photos run one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from regraft.features.engines.operations import (
    APPROXIMATED,
    ElementwiseLayout,
    elementwise_layout,
    is_exact,
    is_sum,
    operation_name,
)
from regraft.randomness import generator


class InvarianceObserver(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Context manager that checks each operation of a network while it runs a batch of repeated photos.

    Args:
        batch: the first tensor that depends on photos, shape (B, ...).
        photo_at: the number of the photo at each of the B places.
        threads: number of torch's threads that share an operation.

    Attributes:
        reason: why a photo's place may matter; None if it does not.
        at_any_size: whether the reason holds for every batch size.
        layouts: memory layouts of the elementwise operations, by which other batch sizes can be checked without a run.
    """

    def __init__(self, batch: torch.Tensor, photo_at: Sequence[int], threads: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reason: str | None = None
        self.at_any_size = False
        self.layouts: set[ElementwiseLayout] = set()
        self._photo_at, self._threads = list(photo_at), threads
        self._photo_storages: dict[int, StorageWeakRef] = {}  # memory with data that depends on photos
        self._repeated: set[str] = set()
        self._mark_dependent([batch])

    def may_be_invariant(self, batch_size: int) -> bool:
        """Return whether all observed layouts allow this batch size."""
        return all(layout.is_position_independent(batch_size, self._threads) for layout in self.layouts)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and check it."""
        options = kwargs or {}
        sources = [t for t in _tensors((args, options)) if self._depends_on_photos(t)]
        if not sources:
            return function(*args, **options)
        name = operation_name(function)
        output = function(*args, **options)
        results = _tensors(output)
        self._mark_dependent(results)
        if name == "copy":
            self._mark_dependent([args[0]])
        if self.reason is None:
            self.reason = self._dependence(function, name, args, options, sources, results)
        return output

    def _dependence(
        self,
        function: Any,
        name: str,
        args: Any,
        options: Any,
        sources: list[torch.Tensor],
        results: list[torch.Tensor],
    ) -> str | None:
        if is_exact(name, args, options) or not any(t.is_floating_point() for t in results):
            return None
        if name in APPROXIMATED and len(results) == 1:
            layout = elementwise_layout(results[0], sources[0], len(self._photo_at))
            if layout is None or len(sources) > 1:
                self.at_any_size = True
                return f"the memory order of {name} is unknown"
            self.layouts.add(layout)
            return None
        if not is_sum(name, args, options):
            self.at_any_size = True
            return f"unknown operation {name!r}"
        if not all(self._rows_agree(result) for result in results if result.numel()):
            return f"{name} gives different bits at different places"
        if not self._repetitions_agree(function, args, options, results):
            return f"{name} gives different bits at different places for different photos"
        return None

    def _rows_agree(self, result: torch.Tensor) -> bool:
        """Return whether equal photos have equal rows."""
        size = len(self._photo_at)
        if result.dim() == 0 or result.shape[0] % size:
            return False
        rows = [_as_integers(row) for row in result.unflatten(0, (size, -1))]  # type: ignore[no-untyped-call]
        first = [self._photo_at.index(kind) for kind in self._photo_at]
        return all(np.array_equal(rows[i], rows[k]) for i, k in enumerate(first) if k != i)

    def _repetitions_agree(self, function: Any, args: Any, options: Any, results: list[torch.Tensor]) -> bool:
        signature = str((str(function), *map(_signature, tree_leaves((args, options)))))
        if signature in self._repeated:
            return True
        self._repeated.add(signature)
        return repetitions_agree(function, args, options, results[0], len(self._photo_at), self._depends_on_photos)

    def _depends_on_photos(self, t: torch.Tensor) -> bool:
        return t.untyped_storage()._cdata in self._photo_storages

    def _mark_dependent(self, tensors: Sequence[torch.Tensor]) -> None:
        for t in tensors:
            storage = t.untyped_storage()
            if storage._cdata not in self._photo_storages:
                reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                self._photo_storages[storage._cdata] = reference  # keeps the address from being reused


def _tensors(value: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


def _as_integers(t: torch.Tensor) -> NDArray[np.generic]:
    """Return the bits of a tensor as integers in memory order; comparing these takes a quarter of the time."""
    in_memory = t.permute(sorted(range(t.dim()), key=t.stride, reverse=True))
    kind = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[t.element_size()]
    bits: NDArray[np.generic] = in_memory.view(kind).numpy()
    return bits


def _signature(leaf: Any) -> Any:
    return (tuple(leaf.shape), leaf.stride(), leaf.dtype) if isinstance(leaf, torch.Tensor) else leaf


_ENOUGH_RESULTS = {torch.float32: 512, torch.bfloat16: 16_384}
"""Results to compare per place. In single precision another order of addition changes a third to a half of them;
bfloat16 hides most of these changes.
"""

_MAX_REPETITIONS = 48
_EXPONENT_RANGE = 12.0  # numbers range from 2**-12 to 2**12


def repetitions_agree(
    function: Any,
    args: Any,
    options: Any,
    result: torch.Tensor,
    batch_size: int,
    depends_on_photos: Callable[[torch.Tensor], bool],
) -> bool:
    """Return whether an operation gives equal rows for equal contents, for several generated contents.

    Args:
        function: the operation.
        args: its positional arguments. Tensors that depend on photos have the photos along their first axis.
        options: its keyword arguments.
        result: its result in the observed run.
        batch_size: photos in the batch.
        depends_on_photos: returns whether a tensor depends on photos.
    """
    enough = _ENOUGH_RESULTS.get(result.dtype, max(_ENOUGH_RESULTS.values()))
    each = result.numel() // batch_size
    if each >= enough:
        return True
    for number in range(min(_MAX_REPETITIONS, -(-enough // max(each, 1)))):
        change = _ReplacedContents(number, batch_size, depends_on_photos, args, options)
        if not change.possible:
            return False
        new_args, new_options = tree_map(change, (args, options))
        found = function(*new_args, **new_options)
        found = found if isinstance(found, torch.Tensor) else found[0]
        rows = found.unflatten(0, (batch_size, -1))
        if not all(torch.equal(row, rows[0]) for row in rows[1:]):
            return False
    return True


class _ReplacedContents:
    """New contents for the arguments of an operation, in the memory layout of the old ones.

    Even numbers give contents that cancel out: the last argument that depends on photos contains pairs of a number and
    its negative, and all other arguments contain ones. Odd numbers give the photo itself, shifted.
    """

    def __init__(
        self, number: int, batch_size: int, depends_on_photos: Callable[[torch.Tensor], bool], args: Any, options: Any
    ) -> None:
        self._number, self._size, self._depends_on_photos = number, batch_size, depends_on_photos
        moving = [t for t in torch.utils._pytree.tree_leaves((args, options)) if self._moves(t)]
        self._last = moving[-1] if moving else None
        self.possible = bool(moving) and all(t.dim() and t.shape[0] % batch_size == 0 for t in moving)

    def __call__(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if not self._moves(value):
            weights = self._number % 2 == 0 and value.dim() > 1 and value.is_floating_point()
            return torch.ones_like(value) if weights else value
        rows, is_last = value.shape[0] // self._size, value is self._last
        if self._number % 2:
            one = value[:rows]
            content = one.reshape(-1).roll(37 * self._number).mul(1 + self._number / 16).reshape(one.shape)
        elif is_last:
            content = zero_sum_values((rows, *value.shape[1:]), self._number).to(value.dtype)
        else:
            content = torch.ones((rows, *value.shape[1:]), dtype=value.dtype)
        return _laid_out_like(value, content.repeat(self._size, *[1] * (value.dim() - 1)))

    def _moves(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor) and value.is_floating_point() and self._depends_on_photos(value)


def zero_sum_values(shape: tuple[int, ...], number: int) -> torch.Tensor:
    """Return numbers of very different sizes, of the given shape, with sum zero along every axis longer than one.

    Their computed sum is rounding error only, so that another order of addition gives another sum.
    """
    draw = generator("cancelling", number, *shape)
    sign = np.ones((1,) * len(shape), dtype=np.float32)
    partner = []
    for axis, n in enumerate(shape):
        order = draw.permutation(n)
        signs, index = np.ones(n, dtype=np.float32), np.zeros(n, dtype=np.int64)
        if n > 1:
            pairs = order[: n // 2 * 2].reshape(-1, 2)
            signs[pairs[:, 1]], signs[order[n // 2 * 2 :]] = -1, 0
            index[pairs[:, 0]] = index[pairs[:, 1]] = np.arange(len(pairs))
        sign = sign * signs.reshape([-1 if other == axis else 1 for other in range(len(shape))])
        partner.append(index)
    sizes = [int(index.max()) + 1 for index in partner]
    magnitude = np.exp2(draw.uniform(-_EXPONENT_RANGE, _EXPONENT_RANGE, sizes)).astype(np.float32)
    return torch.from_numpy(sign * magnitude[np.ix_(*partner)])


def _laid_out_like(old: torch.Tensor, content: torch.Tensor) -> torch.Tensor:
    """Return ``content`` with the strides of ``old`` and the same offset within a cache line."""
    shift = old.storage_offset() % (64 // old.element_size())
    span = 1 + sum((n - 1) * stride for n, stride in zip(old.shape, old.stride(), strict=True))
    memory = torch.zeros(span + shift, dtype=old.dtype)
    return memory.as_strided(old.shape, old.stride(), shift).copy_(content)
