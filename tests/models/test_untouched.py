"""The untouched network: with the classes of its pretraining, and otherwise the backbone of that name."""

from __future__ import annotations

import pytest
import torch

from regraft.errors import BackboneError
from regraft.models.untouched import imagenet_names, untouched_network
from regraft.models.zoo import build_backbone
from regraft.sample.flowers import Flower


def test_it_is_the_backbone_with_the_published_head():
    network = untouched_network()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = build_backbone(size=64)(x)
        assert torch.allclose(network(x), network.get_classifier()(features), atol=1e-4)


def test_it_sees_a_daisy_in_a_drawn_daisy():
    picture = Flower("daisy", 0, 0, 0).draw().resize((224, 224))
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).reshape(1, 224, 224, 3)
    x = pixels.permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        assert "daisy" in imagenet_names(untouched_network()(x).topk(5).indices[0].tolist())


def test_an_unknown_network():
    with pytest.raises(BackboneError, match="efficientnet_lite77"):
        untouched_network("efficientnet_lite77")
