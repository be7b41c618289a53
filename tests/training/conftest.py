"""What the tests of training share: Keras as the oracle, and small data."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

SHORT = "keras is not installed; it is part of the dev extra: pip install 'regraft[dev]'"


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras 3 on its torch backend."""
    return pytest.importorskip("keras", reason=SHORT)


@pytest.fixture(scope="session")
def torchmetrics() -> Any:
    """The package torchmetrics, which imports torchvision."""
    from regraft.models.timm_import import import_torchvision

    import_torchvision()
    return pytest.importorskip("torchmetrics", reason=SHORT.replace("keras", "torchmetrics"))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def nothing_compiled() -> Iterator[None]:
    """Forget compiled code after a test: torch stops compiling a function of which there are many variants."""
    yield
    if "torch._dynamo" in sys.modules:
        torch._dynamo.reset()


@pytest.fixture
def points() -> tuple[torch.Tensor, torch.Tensor]:
    """200 points (200, 8) of three classes (200,) that a line nearly separates."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(200, 8, generator=draw)
    y = (x[:, 0] + 0.3 * torch.randn(200, generator=draw) > 0).long() + (x[:, 1] > 0.5).long()
    return x, y
