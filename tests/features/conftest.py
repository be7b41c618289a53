"""The default backbone with its real weights, and a tiny one with random ones; one thread."""

from __future__ import annotations

import pytest
import torch

from regraft.models.backbone import Backbone
from regraft.models.zoo import build_backbone


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def lite0() -> Backbone:
    return build_backbone()


@pytest.fixture(scope="session")
def tiny() -> Backbone:
    return build_backbone("test_resnet", pretrained=False, size=32, seed=4)
