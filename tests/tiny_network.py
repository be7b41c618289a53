"""A tiny network with fixed random weights, so that a test takes a second."""

from __future__ import annotations

import pytest

TINY = "test_resnet.r160_in1k"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> dict[str, object]:
    """Options that name the tiny network and a file with its weights."""
    import safetensors.torch
    import torch

    from regraft.models.timm_import import import_timm

    torch.manual_seed(0)
    network = import_timm().create_model(TINY, pretrained=False)
    weights = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    safetensors.torch.save_file(network.state_dict(), str(weights))
    return {"backbone": TINY, "weights": weights, "size": 64}
