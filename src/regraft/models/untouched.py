"""The pretrained network as it was published, with its own classes: what it sees in a photo before any training."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from regraft.models.catalogue import DEFAULT_BACKBONE
from regraft.models.pretrained import packaged_file, packaged_state
from regraft.models.timm_import import import_timm
from regraft.models.weights import read_weights
from regraft.models.zoo import build_backbone, create_network


def untouched_network(name: str = DEFAULT_BACKBONE) -> nn.Module:
    """Return a network of timm with the classifier of its pretraining, in inference mode: (n, 3, h, w) to (n, 1000).

    Args:
        name: timm's name. The default needs no download.

    Raises:
        BackboneError: the network is unknown, or its weights are unavailable.

    Example:
        >>> from regraft.models.untouched import untouched_network
        >>> untouched_network().get_classifier()
        Linear(in_features=1280, out_features=1000, bias=True)
    """
    file = packaged_file(name)
    if file is None:
        build_backbone(name)  # its errors say what to do without a network connection
        downloaded: nn.Module = import_timm().create_model(name, pretrained=True).eval()
        return downloaded
    state = packaged_state(name, file, create_network(name, random_init=False))
    published = read_weights(file).state
    network: nn.Module = import_timm().create_model(name)
    head = {"classifier.weight": published["_fc.weight"], "classifier.bias": published["_fc.bias"]}
    network.load_state_dict(state | head, strict=False)
    return network.eval()


def imagenet_names(classes: Sequence[int]) -> list[str]:
    """Return the names of classes of ImageNet-1k.

    Example:
        >>> from regraft.models.untouched import imagenet_names
        >>> imagenet_names([985])
        ['daisy']
    """
    import_timm()
    from timm.data.imagenet_info import ImageNetInfo

    names = ImageNetInfo()
    return [names.index_to_description(index) for index in classes]
