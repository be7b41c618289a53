"""Elementwise operations, and whether a vectorised loop of torch treats the numbers of every photo alike.

``cpu_kernel_vec`` (ATen/native/cpu/Loops.h) takes two vectors at a time and computes what is left at the end one by
one. ``TensorIterator`` joins dimensions that follow each other in memory to one run, and gives each thread an equal
share of all numbers (``at::parallel_for``); every run, and every share, has an end of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

_STEP_BYTES = 128
"""Two of the widest vectors. Narrower ones divide it."""

_GRAIN = 32_768  # numbers below which TensorIterator uses one thread


@dataclass(frozen=True)
class Elementwise:
    """An elementwise operation on a batch.

    Attributes:
        photo: numbers of one photo.
        run: numbers that follow each other in memory, where that is less than a batch; None for the whole batch.
        step: numbers that a loop takes at a time.
        outermost: whether photos follow each other in memory, each as a whole.
    """

    photo: int
    run: int | None
    step: int
    outermost: bool

    def same_everywhere(self, batch_size: int, threads: int) -> bool:
        """Return whether no photo of a batch has a number at the end of a run or a share that others have not."""
        total = self.photo * batch_size
        run = total if self.run is None else self.run
        share = -(-total // _threads(total, threads))
        if run % self.step == 0 and share % self.step == 0:
            return True
        whole_runs = self.run is not None and self.outermost and self.photo % run == 0
        return whole_runs and (share == total or share % self.photo == 0)


def elementwise(output: torch.Tensor, source: torch.Tensor, batch_size: int) -> Elementwise | None:
    """Return what an operation from ``source`` to ``output`` is, or None where its loop is not known.

    Args:
        output: one number for each of ``source``.
        source: may be the same tensor.
        batch_size: photos in it.
    """
    if output.shape != source.shape or output.numel() % batch_size or output.dtype != source.dtype:
        return None
    run = _run((output, source))
    if run is None:
        return None
    photo = output.numel() // batch_size
    outermost = output.shape[0] % batch_size == 0 and all(_first_is_outermost(t) for t in (output, source))
    whole = run == output.numel()
    return Elementwise(photo, None if whole else run, _STEP_BYTES // output.element_size(), outermost)


def _run(tensors: Sequence[torch.Tensor]) -> int | None:
    """Return how many numbers follow each other in all of ``tensors``; None where not even neighbours do."""
    shape = tensors[0].shape
    axes = sorted((axis for axis, n in enumerate(shape) if n > 1), key=tensors[0].stride)
    run = 1
    for axis in axes:
        if any(t.stride(axis) != run for t in tensors):
            break
        run *= shape[axis]
    return None if axes and run == 1 else run


def _first_is_outermost(t: torch.Tensor) -> bool:
    return t.shape[0] == 1 or all(t.stride(0) >= t.stride(axis) for axis in range(1, t.dim()) if t.shape[axis] > 1)


def _threads(numbers: int, most: int) -> int:
    """Return how many threads share an elementwise operation."""
    return 1 if numbers < _GRAIN else max(1, min(most, -(-numbers // _GRAIN)))
