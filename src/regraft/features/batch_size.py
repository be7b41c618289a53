"""The batch size of a frozen network: the first of some in which a photo's place changes no bit of its features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from regraft.features.batch_invariance import InvarianceObserver
from regraft.features.operations import ElementwiseLayout
from regraft.features.trial import TrialResult, is_batch_invariant, run_trial_batch, trial_order

INVARIANCE_VERSION = "by operation 1"
"""Changes whenever a batch size that was found before need not hold."""

Run = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class InvarianceCheck:
    """The result of watching a network run one batch.

    Attributes:
        reason: why places matter in a batch of this size, or None.
        hopeless: whether that is so in batches of any size.
        layouts: of the elementwise operations.
    """

    reason: str | None
    at_any_size: bool
    layouts: frozenset[ElementwiseLayout]


def check_invariance(
    run: Run, photos: torch.Tensor, batch_size: int, threads: int, which: Sequence[int] = (0, 1)
) -> tuple[TrialResult, InvarianceCheck]:
    """Run one batch of two photos on the processor, and judge each operation.

    Args:
        run: gives the features of a batch.
        photos: the first axis counts them.
        batch_size: of the batch.
        threads: of torch that share an operation.
        which: the two of them.
    """
    watch: list[InvarianceObserver] = []

    def watched(batch: torch.Tensor) -> torch.Tensor:
        watch.append(InvarianceObserver(batch, trial_order(batch_size, which), threads))
        with watch[0]:
            return run(batch)

    trial = run_trial_batch(watched, photos, batch_size, which)
    reason = watch[0].reason
    if reason is None and not watch[0].may_be_invariant(batch_size):
        reason = "the last numbers of a block, which are computed apart, belong to some photos only"
    if reason is None and not trial.same:
        reason = "features have other bits at other places"
    return trial, InvarianceCheck(reason, watch[0].at_any_size, frozenset(watch[0].layouts))


def first_invariant_size(
    sizes: Sequence[int],
    run_of: Callable[[int], Run],
    photos: torch.Tensor,
    device: torch.device,
    threads: int,
    first: InvarianceCheck | None,
) -> int:
    """Return the first of ``sizes`` in which a photo's place does not matter.

    Args:
        sizes: the last is 1.
        run_of: gives what runs a batch of a size.
        photos: three, to try.
        device: other devices than processors are only tried, on whole batches.
        threads: of torch that share an operation.
        first: the judgement of ``sizes[0]``, where it is known.
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
    """Return the judgement of a batch of one photo alone, and of one beside another: it must have the same features."""
    one, check = check_invariance(run, photos, size, threads, (0, 0))
    if check.reason is not None:
        return check
    other, again = check_invariance(run, photos, size, threads, (2, 0))
    if again.reason is None and other.second is not None and one.first.tobytes() != other.second.tobytes():
        return InvarianceCheck("features depend on the other photos", at_any_size=True, layouts=again.layouts)
    return again
