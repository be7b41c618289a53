"""Modules whose parameters are divided among the processes by torch's `fully_shard` (FSDP2)."""

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
from regraft.callbacks import EarlyStopping
from regraft.training import Trainer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes of these tests are forks")

SIZE = 2


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def data() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    y = torch.randint(0, 3, (48,), generator=draw)
    return torch.randn(48, 6, generator=draw) + y[:, None], y


def weights(module: nn.Module) -> list[list[float]]:
    whole = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in module.parameters()]
    return [parameter.detach().flatten().tolist() for parameter in whole]


def train_in_parts() -> dict[str, Any]:
    """Train a divided module on the samples of this process, and say what is refused."""
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard

    dist.init_process_group("gloo")
    module = network()
    fully_shard(module[0])
    fully_shard(module)
    x, y = data()
    trainer = Trainer(module, torch.optim.AdamW(module.parameters(), lr=0.01), "cross_entropy", clip_norm=1.0, shards=0)
    samples = TensorDataset(x, y)
    loader = DataLoader(samples, batch_size=8, sampler=DistributedSampler(samples, shuffle=False))
    stopping = EarlyStopping("val_loss", patience=3)
    history = trainer.fit(loader, epochs=3, validation_data=(x, y), callbacks=[stopping], verbose=0).history
    refused = []
    for options, resume in (({}, None), ({"shards": 0}, "snapshots")):
        try:
            Trainer(module, "sgd", "cross_entropy", **options).fit(x, y, verbose=0, resume=resume)
        except ValueError as error:
            refused.append(str(error))
    return {"weights": weights(module), "val_loss": history["val_loss"], "refused": refused}


@pytest.mark.slow
def test_a_divided_module_is_trained_without_virtual_shards(tmp_path: Path) -> None:
    first, second = forked(SIZE, tmp_path, train_in_parts)
    assert isinstance(first, dict), first
    assert first["weights"] == second["weights"] and first["val_loss"] == second["val_loss"]
    module, (x, y) = network(), data()
    rows = [torch.arange(rank, 48, SIZE)[first : first + 8] for first in range(0, 24, 8) for rank in range(SIZE)]
    order = torch.cat(rows)
    trainer = Trainer(module, torch.optim.AdamW(module.parameters(), lr=0.01), "cross_entropy", clip_norm=1.0)
    history = trainer.fit(x[order], y[order], batch_size=16, epochs=3, shuffle=False, validation_data=(x, y), verbose=0)
    assert first["val_loss"] == pytest.approx(history.history["val_loss"], rel=1e-5)
    for own, expected in zip(first["weights"], weights(module), strict=True):
        assert own == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_what_a_divided_module_does_not_support_is_refused(tmp_path: Path) -> None:
    first, _ = forked(SIZE, tmp_path, train_in_parts)
    shards, resume = first["refused"]
    assert "which virtual shards do not support; expected shards=0, found 8" in shards
    assert "which snapshots do not support; expected resume=None" in resume
