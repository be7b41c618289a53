"""Sums of the gradients of shards: in the memory of the first, unless two gradients share it."""

from __future__ import annotations

import torch

from regraft.training.sharding.shard_gradients import _add


def test_gradients_with_memory_of_their_own_are_added_in_it() -> None:
    left = [torch.ones(3), torch.ones(2, 4, 3, 3).contiguous(memory_format=torch.channels_last)]
    (sums,) = _add([left], [[torch.full((3,), 2.0), torch.full((2, 4, 3, 3), 3.0)]])
    assert sums[0] is left[0] and sums[1] is left[1]
    assert sums[0].tolist() == [3.0] * 3 and bool((sums[1] == 4.0).all())


def test_gradients_that_share_memory_are_left_alone() -> None:
    one, row = torch.ones(3), torch.ones(1).expand(3)
    for left in ([one, one], [one, row]):
        (sums,) = _add([left], [[torch.full((3,), 2.0), torch.full((3,), 3.0)]])
        assert [total.tolist() for total in sums] == [[3.0] * 3, [4.0] * 3]
        assert one.tolist() == [1.0] * 3 and row.tolist() == [1.0] * 3
