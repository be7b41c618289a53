"""A profile of some batches of a training, for the TensorBoard callback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from regraft.errors import TrainingError


class BatchProfile:
    """The profile of processor and device during the batches ``first`` to ``last``, counted from 1.

    Args:
        batches: the number of a batch, a pair of them, or a text such as ``"10,20"``; 0: no profile.
        folder: folder for the trace ``batch_<last>.json.gz``, in the format of Chrome's trace viewer.
        warn: called with a message when the profile fails; training continues.

    Raises:
        TrainingError: ``batches`` is invalid.
    """

    def __init__(self, batches: int | str | tuple[int, int], folder: Path, warn: Callable[[str], None]) -> None:
        self.first, self.last = _range(batches)
        self._folder, self._warn = folder, warn
        self._running: Any = None

    def begin(self, batch: int) -> None:
        """Begin the profile, if ``batch`` is its first one."""
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
        """End the profile and write the trace, if ``batch`` is the last one."""
        if self._running is not None and batch >= self.last:
            self.close()

    def close(self) -> None:
        """End the profile and write the trace, if one is running."""
        if self._running is None:
            return
        profile, self._running = self._running, None
        try:
            profile.stop()
            self._folder.mkdir(parents=True, exist_ok=True)
            profile.export_chrome_trace(str(self._folder / f"batch_{self.last}.json.gz"))
        except (RuntimeError, OSError) as error:
            self._warn(f"the profile could not be written: {error}")


def _range(given: Any) -> tuple[int, int]:
    parts = given.split(",") if isinstance(given, str) else given if isinstance(given, (tuple, list)) else [given]
    try:
        numbers = [int(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in (1, 2) or numbers[0] < 0 or numbers[-1] < numbers[0] or (numbers[0] == 0 != numbers[-1]):
        raise TrainingError(f"profile_batch is {given!r}; expected 0, a batch number, or a pair of them")
    return numbers[0], numbers[-1]
