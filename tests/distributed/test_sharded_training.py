"""A training ends with the same weights and figures in any number of processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from distributed.forked import forked
from distributed.small_training import Net, photos, train
from regraft.training import Trainer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes of these tests are forks")


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """The same training in one process, with 8 virtual shards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    result = train({"trainer": {"shards": 8}})
    torch.set_num_threads(before)
    return result


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_weights_and_figures_do_not_depend_on_the_number_of_processes(
    size: int, alone: dict[str, Any], tmp_path: Path
) -> None:
    results = forked(size, tmp_path, lambda: train({}))
    for rank, result in enumerate(results):
        assert result == {**alone, "losses": alone["losses"] if rank == 0 else []}
    assert len(alone["losses"]) == 4  # a callback evaluates in a hook; it runs in process 0, or in all if it says so


def test_an_average_and_accumulated_clipped_gradients_do_not_depend_on_it_either(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    options = {"average": True, "trainer": {"shards": 4, "ema": 0.8, "accumulate": 3, "clip_norm": 0.1}, "epochs": 2}
    expected = train(options)
    first, second = forked(2, tmp_path, lambda: train(options))
    assert first == expected
    assert (second["weights"], second["history"]) == (expected["weights"], expected["history"])


def test_shards_compute_what_one_batch_does() -> None:
    """Without batch normalization and dropout the gradients differ by rounding alone."""
    x, y = photos()
    figures = []
    for shards in (0, 8):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(243, 3))
        trainer = Trainer(
            net, "sgd", "cross_entropy", ["accuracy"], shards=shards, accumulate=2, clip_norm=0.5, ema=0.9
        )
        history = trainer.fit(
            x, y, batch_size=20, epochs=3, verbose=0, class_weight={1: 3.0}, sample_weight=torch.arange(70.0)
        )
        figures.append((net[1].weight.detach(), history.history))
    torch.testing.assert_close(figures[1][0], figures[0][0], rtol=1e-4, atol=1e-6)
    assert figures[1][1]["loss"] == pytest.approx(figures[0][1]["loss"], rel=1e-5)
    assert figures[1][1]["accuracy"] == figures[0][1]["accuracy"]


def test_the_trained_statistics_of_normalization_are_the_mean_over_shards() -> None:
    x, y = photos()
    net = Net()
    Trainer(net, "sgd", "cross_entropy", learning_rate=1e-9, shards=2).fit(x[:8], y[:8], batch_size=8, verbose=0)
    whole = net.conv(x[:8]).relu().mean((0, 2, 3)) * 0.1  # equal shards: the mean of their means, in any order
    torch.testing.assert_close(net.norm.running_mean, whole.detach(), rtol=1e-5, atol=1e-6)
    assert int(net.norm.num_batches_tracked) == 1


def uneven() -> str:
    sampler = DistributedSampler(TensorDataset(*photos()), num_replicas=2, rank=0)
    Trainer(Net(), "sgd", "cross_entropy").fit(DataLoader(sampler.dataset, 4, sampler=sampler), verbose=0)
    return "trained"


def test_a_sampler_that_divides_the_data_is_refused(tmp_path: Path) -> None:
    errors = forked(2, tmp_path, uneven)
    assert all(error.startswith("TrainingError: the DataLoader has a DistributedSampler") for error in errors)


def fails_in_a_callback() -> str:
    from regraft.callbacks import LambdaCallback

    def fail(epoch: int, logs: Any = None) -> None:
        raise ValueError("broken")

    Trainer(Net(), "sgd", "cross_entropy").fit(*photos(), verbose=0, callbacks=[LambdaCallback(on_epoch_end=fail)])
    return "trained"


def test_a_callback_that_fails_in_process_0_ends_all(tmp_path: Path) -> None:
    first, second = forked(2, tmp_path, fails_in_a_callback)
    assert first == "ValueError: broken"
    assert second == "WorkersError: process 0 ended the training in on_epoch_end: ValueError: broken"


def missing() -> str:
    if os.environ["RANK"] == "1":
        os._exit(0)
    return train({})


@pytest.mark.slow
def test_a_process_that_does_not_come_is_noticed(tmp_path: Path) -> None:
    first, second = forked(2, tmp_path, missing, REGRAFT_WORKER_TIMEOUT="1")
    assert first.startswith("WorkersError: the processes of this training cannot reach each other; expected 2 of them")
    assert second is None


def fast() -> dict[str, Any]:
    return train({"trainer": {"fast_reduce": True}})


@pytest.mark.slow
def test_a_fast_reduction_trains_the_same_but_for_rounding(tmp_path: Path) -> None:
    first, second = forked(2, tmp_path, fast)
    assert first["weights"] == second["weights"]
    assert first["history"]["loss"][0] == pytest.approx(1.18, abs=0.15)
