"""The fixed tree: every process adds the same shards in the same order."""

from __future__ import annotations

import pytest

from regraft.distributed.shards import Sharding, sharding_for
from regraft.distributed.tree import cover, fold, share
from regraft.distributed.world import ALONE
from regraft.errors import TrainingError


def expression(shards: int, known: dict[tuple[int, int], str]) -> str:
    return fold((0, shards), known.get, lambda left, right: f"({left}+{right})")


@pytest.mark.parametrize("shards", range(1, 10))
@pytest.mark.parametrize("size", range(1, 12))
def test_the_order_does_not_depend_on_the_number_of_processes(shards: int, size: int) -> None:
    leaves = {(i, i + 1): str(i) for i in range(shards)}
    sums: dict[tuple[int, int], str] = {}
    parts = [share(shards, rank, size) for rank in range(size)]
    assert [i for first, end in parts for i in range(first, end)] == list(range(shards))
    assert parts[0][1] >= 1  # process 0 has a shard
    for part in parts:
        for node in cover((0, shards), part):
            sums[node] = fold(node, leaves.get, lambda left, right: f"({left}+{right})")
    assert expression(shards, sums) == expression(shards, leaves)


def test_a_process_with_half_of_the_shards_sends_one_sum() -> None:
    assert cover((0, 8), share(8, 1, 2)) == [(4, 8)]


def test_a_batch_is_cut_by_its_size_alone() -> None:
    sharding = Sharding()
    assert sharding.rows(32, ALONE) == [(i, i + 4) for i in range(0, 32, 4)]
    assert sharding.rows(5, ALONE) == [(0, 2), (2, 5)]
    assert sharding.rows(1, ALONE) == [(0, 1)]


def test_ordinary_trainings_have_no_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sharding_for(None) is None
    assert sharding_for(0) is None
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    assert sharding_for(None) == Sharding(8)
    with pytest.raises(TrainingError, match="shards is -1; expected 1 virtual shard"):
        sharding_for(-1)
