"""A profile of some batches of training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from regraft.errors import TrainingError


class BatchProfile:
    """Records what the processor and the device do during batches ``first`` to ``last``, counted from 1.

    Args:
        batches: a number, a pair, or a text such as ``"10,20"``; 0: none.
        folder: where the trace goes, as ``batch_<last>.json.gz`` in the format of Chrome's trace viewer.
        warn: told what went wrong; a profile that fails does not stop training.

    Raises:
        TrainingError: ``batches`` is something else.
    """

    def __init__(self, batches: int | str | tuple[int, int], folder: Path, warn: Callable[[str], None]) -> None:
        self.first, self.last = _range(batches)
        self._folder, self._warn = folder, warn
        self._running: Any = None

    def begin(self, batch: int) -> None:
        """Begin, if ``batch`` is the first one."""
        if batch != self.first or self.first == 0:
            return
        activities = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        try:
            profile = torch.profiler.profile(activities=activities)
            profile.start()
            self._running = profile
        except (RuntimeError, AssertionError) as error:
            self._warn(f"no profile: {error}")

    def end(self, batch: int) -> None:
        """End and write the trace, if ``batch`` is the last one."""
        if self._running is not None and batch >= self.last:
            self.close()

    def close(self) -> None:
        """End and write the trace, if a profile is running."""
        if self._running is None:
            return
        profile, self._running = self._running, None
        try:
            profile.stop()
            self._folder.mkdir(parents=True, exist_ok=True)
            profile.export_chrome_trace(str(self._folder / f"batch_{self.last}.json.gz"))
        except (RuntimeError, OSError) as error:
            self._warn(f"the profile is not written: {error}")


def _range(given: Any) -> tuple[int, int]:
    parts = given.split(",") if isinstance(given, str) else given if isinstance(given, (tuple, list)) else [given]
    try:
        numbers = [int(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in (1, 2) or numbers[0] < 0 or numbers[-1] < numbers[0] or (numbers[0] == 0 != numbers[-1]):
        raise TrainingError(f"profile_batch is {given!r}; expected 0, the number of a batch, or a pair of them")
    return numbers[0], numbers[-1]
