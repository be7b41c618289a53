"""Choice of the batch size: the first candidate for which a photo's place in the batch does not matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from regraft.features.engines.batch_invariance import InvarianceObserver
from regraft.features.engines.operations import ElementwiseLayout
from regraft.features.engines.trial import TrialResult, is_batch_invariant, run_trial_batch, trial_order

INVARIANCE_VERSION = "by operation 1"
"""Version of the check. Change it whenever recorded batch sizes may no longer be valid."""

Run = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class InvarianceCheck:
    """Result of observing a network while it runs one batch.

    Attributes:
        reason: why a photo's place matters for this batch size; None if it does not.
        at_any_size: whether the reason holds for every batch size.
        layouts: memory layouts of the elementwise operations.
    """

    reason: str | None
    at_any_size: bool
    layouts: frozenset[ElementwiseLayout]


def check_invariance(
    run: Run, photos: torch.Tensor, batch_size: int, threads: int, which: Sequence[int] = (0, 1)
) -> tuple[TrialResult, InvarianceCheck]:
    """Run a trial batch on the CPU and return its result with the check of all operations.

    Args:
        run: returns the features of a batch.
        photos: photos to try, along the first axis.
        batch_size: photos in the trial batch.
        threads: number of torch's threads that share an operation.
        which: indices of the two photos that fill the batch.
    """
    watch: list[InvarianceObserver] = []

    def watched(batch: torch.Tensor) -> torch.Tensor:
        watch.append(InvarianceObserver(batch, trial_order(batch_size, which), threads))
        with watch[0]:
            return run(batch)

    trial = run_trial_batch(watched, photos, batch_size, which)
    reason = watch[0].reason
    if reason is None and not watch[0].may_be_invariant(batch_size):
        reason = "only some photos have remainders outside of vector instructions"
    if reason is None and not trial.same:
        reason = "features differ between places"
    return trial, InvarianceCheck(reason, watch[0].at_any_size, frozenset(watch[0].layouts))


def first_invariant_size(
    sizes: Sequence[int],
    run_of: Callable[[int], Run],
    photos: torch.Tensor,
    device: torch.device,
    threads: int,
    first: InvarianceCheck | None,
) -> int:
    """Return the first of ``sizes`` for which a photo's place does not matter.

    Args:
        sizes: candidates in order of preference; the last is 1.
        run_of: returns the function that runs batches of a given size.
        photos: three photos to try.
        device: on other devices than the CPU, only whole batches are compared.
        threads: number of torch's threads that share an operation.
        first: the check of ``sizes[0]``, if it was made before.
    """
    if device.type != "cpu":
        return next(size for size in sizes if size == 1 or is_batch_invariant(run_of(size), photos, size))
    last = first
    for size in sizes:
        if size == 1 or (last is not None and last.at_any_size):
            break
        if last is not None and not _may_be_invariant(last, size, threads):
            continue
        if first is None or size != sizes[0]:
            last = _check_two_batches(run_of(size), photos, size, threads)
        if last is not None and last.reason is None:
            return size
    return 1


def _may_be_invariant(check: InvarianceCheck, size: int, threads: int) -> bool:
    return all(layout.is_position_independent(size, threads) for layout in check.layouts)


def _check_two_batches(run: Run, photos: torch.Tensor, size: int, threads: int) -> InvarianceCheck:
    """Return the check of a batch of one photo, and of a batch with a second photo, which must not change the first."""
    one, check = check_invariance(run, photos, size, threads, (0, 0))
    if check.reason is not None:
        return check
    other, again = check_invariance(run, photos, size, threads, (2, 0))
    if again.reason is None and other.second is not None and one.first.tobytes() != other.second.tobytes():
        return InvarianceCheck("features depend on the other photos", at_any_size=True, layouts=again.layouts)
    return again
