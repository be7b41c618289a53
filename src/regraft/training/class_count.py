"""Class numbers that training sees, compared with the outputs of the module.

A head that was never replaced has a thousand outputs for three classes. Nothing fails then; it only learns badly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from regraft.training.structure import is_array

MANY = 1.5
"""Outputs for each class from which on they are reported; a few may be classes that these samples lack."""


class ClassCount:
    """Reports once, after the first epoch, that the module has outputs for which there is no class.

    Only targets on the host are looked at: nothing waits for a device.

    Args:
        warn: takes a warning.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._highest = -1
        self._outputs = 0
        self.watching = True

    def see(self, outputs: Any, targets: Any) -> None:
        """Look at a batch: outputs (n, classes) and class numbers (n,) or (n, 1)."""
        if not isinstance(outputs, Tensor) or outputs.ndim != 2 or not is_array(targets):
            self.watching = False
            return
        classes = targets.numpy() if isinstance(targets, Tensor) and targets.is_cpu else targets
        if isinstance(classes, Tensor) or classes.size != len(outputs) or classes.dtype.kind not in "iuf":
            self.watching = False
            return
        self._outputs = outputs.shape[1]
        self._highest = max(self._highest, int(classes.max()))

    def report(self) -> None:
        """Warn, if there are outputs without a class; later epochs are not looked at."""
        classes = self._highest + 1
        if self.watching and classes and self._outputs >= MANY * classes and self._outputs > 2:
            self._warn(
                f"the module has {self._outputs:,} outputs, and the targets have {classes:,} "
                f"{'class' if classes == 1 else 'classes'}: was the head replaced?"
            )
        self.watching = False
