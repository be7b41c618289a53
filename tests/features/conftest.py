"""The default backbone with its real weights, and a tiny one with random ones; one thread."""

from __future__ import annotations

import pytest
import torch

from regraft.features.engines.processor import computes_bf16
from regraft.models.backbone import Backbone
from regraft.models.zoo import build_backbone


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def skip_what_this_processor_cannot_compute(request):
    """A test that is parametrised with an engine or a precision in bfloat16 is skipped where there is none."""
    asked = getattr(getattr(request.node, "callspec", None), "params", {}).values()
    if any(isinstance(value, str) and ("bf16" in value or "mixed" in value) for value in asked) and not computes_bf16():
        pytest.skip("torch and OpenVINO do not compute in bfloat16 with the instructions that may be used here")


@pytest.fixture(scope="session")
def lite0() -> Backbone:
    return build_backbone()


@pytest.fixture(scope="session")
def tiny() -> Backbone:
    return build_backbone("test_resnet", pretrained=False, size=32, seed=4)
