"""Repetitions of one operation with contents that show an order of adding, the same content at every place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_map

from regraft.randomness import generator

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
