"""The batch size of a frozen network: the first of some in which a photo's place changes no bit of its features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from regraft.features.batch_invariance import Places
from regraft.features.operations import Elementwise
from regraft.features.trial import Trial, kinds_of, place_does_not_matter, try_places

JUDGING = "by operation 1"
"""Changes whenever a batch size that was found before need not hold."""

Run = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Judgement:
    """The result of watching a network run one batch.

    Attributes:
        reason: why places matter in a batch of this size, or None.
        hopeless: whether that is so in batches of any size.
        layouts: of the elementwise operations.
    """

    reason: str | None
    hopeless: bool
    layouts: frozenset[Elementwise]


def judge(
    run: Run, photos: torch.Tensor, batch_size: int, threads: int, which: Sequence[int] = (0, 1)
) -> tuple[Trial, Judgement]:
    """Run one batch of two photos on the processor, and judge each operation.

    Args:
        run: gives the features of a batch.
        photos: the first axis counts them.
        batch_size: of the batch.
        threads: of torch that share an operation.
        which: the two of them.
    """
    watch: list[Places] = []

    def watched(batch: torch.Tensor) -> torch.Tensor:
        watch.append(Places(batch, kinds_of(batch_size, which), threads))
        with watch[0]:
            return run(batch)

    trial = try_places(watched, photos, batch_size, which)
    reason = watch[0].reason
    if reason is None and not watch[0].fits(batch_size):
        reason = "the last numbers of a block, which are computed apart, belong to some photos only"
    if reason is None and not trial.same:
        reason = "features have other bits at other places"
    return trial, Judgement(reason, watch[0].hopeless, frozenset(watch[0].layouts))


def fitting_size(
    sizes: Sequence[int],
    run_of: Callable[[int], Run],
    photos: torch.Tensor,
    device: torch.device,
    threads: int,
    first: Judgement | None,
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
        return next(size for size in sizes if size == 1 or place_does_not_matter(run_of(size), photos, size))
    last = first
    for size in sizes:
        if size == 1 or (last is not None and last.hopeless):
            break
        if last is not None and not _could_do(last, size, threads):
            continue
        if first is None or size != sizes[0]:
            last = _judged_twice(run_of(size), photos, size, threads)
        if last is not None and last.reason is None:
            return size
    return 1


def _could_do(judgement: Judgement, size: int, threads: int) -> bool:
    return all(layout.same_everywhere(size, threads) for layout in judgement.layouts)


def _judged_twice(run: Run, photos: torch.Tensor, size: int, threads: int) -> Judgement:
    """Return the judgement of a batch of one photo alone, and of one beside another: it must have the same features."""
    one, judgement = judge(run, photos, size, threads, (0, 0))
    if judgement.reason is not None:
        return judgement
    other, again = judge(run, photos, size, threads, (2, 0))
    if again.reason is None and other.second is not None and one.first.tobytes() != other.second.tobytes():
        return Judgement("features depend on the other photos", hopeless=True, layouts=again.layouts)
    return again
