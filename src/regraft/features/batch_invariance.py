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

Repetitions of one operation with contents that show an order of adding, the same content at every place.
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

from regraft.features.operations import ROUNDED, Elementwise, elementwise, is_faithful, is_sum, name_of
from regraft.randomness import generator


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


_ENOUGH = {torch.float32: 512, torch.bfloat16: 16_384}
"""Results at each place that are compared. In single precision another order of adding changes every second or third;
bfloat16 hides most of that."""

_MOST = 48
_HUGE = 12.0  # numbers reach from 2**-12 to 2**12


def repeats_agree(
    function: Any,
    args: Any,
    options: Any,
    result: torch.Tensor,
    batch_size: int,
    is_of_photos: Callable[[torch.Tensor], bool],
) -> bool:
    """Return whether an operation gives equal rows for equal contents, whatever these are.

    Args:
        function: the operation.
        args: its arguments; those tensors that depend on photos have these in their first axis.
        options: likewise, by name.
        result: what it gave.
        batch_size: photos in the batch.
        is_of_photos: tells whether a tensor depends on photos.
    """
    enough = _ENOUGH.get(result.dtype, max(_ENOUGH.values()))
    each = result.numel() // batch_size
    if each >= enough:
        return True
    for number in range(min(_MOST, -(-enough // max(each, 1)))):
        change = _Change(number, batch_size, is_of_photos, args, options)
        if not change.possible:
            return False
        new_args, new_options = tree_map(change, (args, options))
        found = function(*new_args, **new_options)
        found = found if isinstance(found, torch.Tensor) else found[0]
        rows = found.unflatten(0, (batch_size, -1))
        if not all(torch.equal(row, rows[0]) for row in rows[1:]):
            return False
    return True


class _Change:
    """Other contents for the arguments of an operation, laid out in memory as the old ones are.

    Even numbers give contents that cancel out: the last argument that depends on photos consists of pairs of a number
    and its negative, all others of ones. Odd numbers give the photo itself, shifted.
    """

    def __init__(
        self, number: int, batch_size: int, is_of_photos: Callable[[torch.Tensor], bool], args: Any, options: Any
    ) -> None:
        self._number, self._size, self._is_of_photos = number, batch_size, is_of_photos
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
            content = cancelling((rows, *value.shape[1:]), self._number).to(value.dtype)
        else:
            content = torch.ones((rows, *value.shape[1:]), dtype=value.dtype)
        return _laid_out_like(value, content.repeat(self._size, *[1] * (value.dim() - 1)))

    def _moves(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor) and value.is_floating_point() and self._is_of_photos(value)


def cancelling(shape: tuple[int, ...], number: int) -> torch.Tensor:
    """Return numbers of very different size, shape ``shape``, whose sum along every axis longer than one is zero.

    A sum of them in a computer is rounding errors alone, so that another order of adding gives another sum.
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
    magnitude = np.exp2(draw.uniform(-_HUGE, _HUGE, sizes)).astype(np.float32)
    return torch.from_numpy(sign * magnitude[np.ix_(*partner)])


def _laid_out_like(old: torch.Tensor, content: torch.Tensor) -> torch.Tensor:
    """Return ``content`` with the strides of ``old``, and as far from a line of the cache."""
    shift = old.storage_offset() % (64 // old.element_size())
    span = 1 + sum((n - 1) * stride for n, stride in zip(old.shape, old.stride(), strict=True))
    memory = torch.zeros(span + shift, dtype=old.dtype)
    return memory.as_strided(old.shape, old.stride(), shift).copy_(content)
