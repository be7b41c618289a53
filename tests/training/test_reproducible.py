"""On a graphics processor a training adds up its gradients in one order; what the person has set comes back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from regraft.training import Trainer
from regraft.training import fit_loop as module
from regraft.training.numerics import reproducible

CUDA = torch.device("cuda")


@pytest.fixture
def cudnn(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    return torch.backends.cudnn


def test_cudnn_is_held_to_one_order_and_let_go_again(cudnn):
    with reproducible(CUDA):
        assert (cudnn.deterministic, cudnn.benchmark) == (True, False)
    assert (cudnn.deterministic, cudnn.benchmark) == (False, True)
    with pytest.raises(KeyboardInterrupt), reproducible(CUDA):
        raise KeyboardInterrupt
    assert (cudnn.deterministic, cudnn.benchmark) == (False, True)
    with reproducible(torch.device("cpu")):
        assert (cudnn.deterministic, cudnn.benchmark) == (False, True)


def test_a_training_runs_within_it(monkeypatch, cudnn):
    devices, seen = [], []
    monkeypatch.setattr(module, "reproducible", lambda device: (devices.append(device), reproducible(CUDA))[1])
    trainer = Trainer(torch.nn.Linear(3, 1), optimizer="sgd", loss="mse")
    trainer.module.register_forward_hook(lambda *_: seen.append(cudnn.deterministic))
    trainer.fit(np.zeros((8, 3), "float32"), np.zeros((8, 1), "float32"), epochs=1, verbose=0)
    assert devices == [torch.device("cpu")]
    assert seen and all(seen)
    assert not cudnn.deterministic
