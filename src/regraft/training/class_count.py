"""Class numbers that training sees, compared with the outputs of the module.

A head that was never replaced has a thousand outputs for three classes. Nothing fails then, but it learns badly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from regraft.training.pytree import is_array

MANY = 1.5
"""Minimum ratio of outputs to classes that is reported; some classes may be absent from these samples."""

SMALL = 256
"""Batch size up to which the class numbers are searched as a Python list."""


class ClassCount:
    """Reports once, after the first epoch, that the module has outputs for which there is no class.

    Only targets on the host are read, so that nothing synchronizes with a device.

    Args:
        warn: prints a warning.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._highest = -1
        self._outputs = 0
        self.watching = True

    def see(self, outputs: Any, targets: Any) -> None:
        """Count the classes of a batch: outputs (n, classes) and class numbers (n,) or (n, 1)."""
        if not isinstance(outputs, Tensor) or outputs.ndim != 2:
            self.watching = False
            return
        count, self._outputs = outputs.shape
        highest = _highest(targets, count)
        if highest is None:
            self.watching = False
        elif highest > self._highest:
            self._highest = highest
            self.watching = self._outputs >= MANY * (highest + 1)  # enough classes: there is nothing to report

    def report(self) -> None:
        """Warn if there are outputs without a class; later epochs are not examined."""
        classes = self._highest + 1
        if self.watching and classes and self._outputs >= MANY * classes and self._outputs > 2:
            self._warn(
                f"the module has {self._outputs:,} outputs, and the targets have {classes:,} "
                f"{'class' if classes == 1 else 'classes'}: was the head replaced?"
            )
        self.watching = False


def _highest(targets: Any, count: int) -> int | None:
    """Return the highest of ``count`` class numbers (n,) or (n, 1) on the host; None for other targets."""
    if isinstance(targets, Tensor):
        if not targets.is_cpu or targets.numel() != count or targets.dtype is torch.bfloat16:
            return None
        if count <= SMALL and targets.ndim == 1 and not targets.is_complex():
            return _whole(max(targets.tolist()))  # several times as fast as an operation on a tensor
        targets = targets.numpy()
    if not is_array(targets) or targets.size != count or targets.dtype.kind not in "iufb":
        return None
    return _whole(targets.max())


def _whole(number: Any) -> int | None:
    return int(number) if math.isfinite(number) else None
