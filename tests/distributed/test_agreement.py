"""Processes that differ, or do not share their folders, are refused before they train."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from distributed.forked import forked
from distributed.small_training import Net, photos
from regraft.distributed.agreement import check_equal, check_shared
from regraft.distributed.world import alone, current, decided_by_first, first_to_fail, together
from regraft.training import Trainer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes of these tests are forks")


def rank() -> int:
    return int(os.environ["RANK"])


def differ() -> str:
    with together():
        check_equal({"version of torch": "2.13.0", "device": "cuda" if rank() == 2 else "cpu"})
    return "equal"


def test_a_difference_is_named(tmp_path: Path) -> None:
    errors = forked(3, tmp_path, differ)
    assert len(set(errors)) == 1
    assert errors[0].startswith("WorkersError: the processes of this training differ")
    assert "device is cuda in process 2 on" in errors[0]
    assert "and cpu in process 0" in errors[0]
    assert "torch" not in errors[0]


def unshared(folder: Path) -> str:
    if rank() == 1:  # as if another disk was mounted there
        Path.exists = lambda path, **more: False  # type: ignore[method-assign]
    with together():
        check_shared([folder / "run"])
    return "shared"


def test_a_folder_that_a_process_does_not_see_is_named(tmp_path: Path) -> None:
    first, second = forked(2, tmp_path / "out", lambda: unshared(tmp_path / "place"))
    assert first == second
    assert first.startswith("WorkersError: the processes of this training do not share their folders")
    assert f"does not see {tmp_path / 'place' / 'run'}" in first
    assert list((tmp_path / "place" / "run").iterdir()) == []


def shared(folder: Path) -> str:
    with together():
        check_shared([folder])
    return "shared"


def test_a_shared_folder_is_accepted(tmp_path: Path) -> None:
    assert forked(2, tmp_path / "out", lambda: shared(tmp_path / "place")) == ["shared", "shared"]
    assert list((tmp_path / "place").iterdir()) == []


def decides() -> list[object]:
    with together():
        decided = decided_by_first(lambda: rank() + 7)
        with alone():
            inside = current().size
        first = first_to_fail()
        return [decided, current().size, inside, current().gather(None) == [None, None], first]


def test_process_0_decides_and_one_process_reports_an_error(tmp_path: Path) -> None:
    first, second = forked(2, tmp_path, decides)
    assert first[:4] == second[:4] == [7, 2, 1, True]
    assert sorted([first[4], second[4]]) == [False, True]


def test_a_process_alone_exchanges_nothing() -> None:
    with together() as world:
        assert (world.size, world.broadcast("a"), world.gather("a")) == (1, "a", ["a"])
    check_equal({"device": "cpu"})
    assert first_to_fail()


def test_an_ordinary_training_loads_no_process_group() -> None:
    x, y = photos()
    Trainer(Net(), "sgd", "cross_entropy").fit(x, y, verbose=0)
    assert "regraft.distributed.process_group" not in sys.modules
