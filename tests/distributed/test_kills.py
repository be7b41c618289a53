"""A process that is killed or hangs: the training resumes in any number of processes, with the same weights."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from distributed.forked import forked
from distributed.small_training import Net, photos, train
from regraft.callbacks import Callback
from regraft.training import Trainer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes of these tests are forks")


@pytest.mark.slow
def test_killed_processes_change_nothing(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    expected = train({"trainer": {"shards": 8}})
    resume = str(tmp_path / "snapshots")
    for number, (size, kill) in enumerate([(2, [1, 1, 2]), (3, [0, 2, 1])]):
        folder = tmp_path / str(number)
        options = {"resume": resume, "kill": kill, "out": str(folder)}
        results = forked(size, folder, lambda options=options: train(options))
        assert results[kill[0]] is None
        others = [result for rank, result in enumerate(results) if rank != kill[0]]
        assert all(one.startswith("WorkersError: another process of this training has ended") for one in others)
    (last,) = forked(1, tmp_path / "last", lambda: train({"resume": resume}))
    assert [last[key] for key in ("weights", "history", "stopped")] == [
        expected[key] for key in ("weights", "history", "stopped")
    ]


class Hang(Callback):
    """Waits forever in process 1."""

    every_rank = True

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if os.environ["RANK"] == "1" and batch == 1:
            threading.Event().wait()


def hangs() -> str:
    Trainer(Net(), "sgd", "cross_entropy").fit(*photos(), verbose=0, callbacks=[Hang()])
    return "trained"


@pytest.mark.slow
def test_a_process_that_hangs_is_named_and_its_stack_shown(tmp_path: Path) -> None:
    first, second = forked(2, tmp_path, hangs, kill_after_first=True, REGRAFT_WORKER_TIMEOUT="2")
    assert first.startswith("WorkersError: process 1 did not arrive within 2 s\n  its stack is above")
    assert second is None
    assert "in on_train_batch_begin" in (tmp_path / "1.stderr").read_text()
    assert (tmp_path / "0.stderr").read_text() == ""
