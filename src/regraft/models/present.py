"""Networks whose weights are on this machine, in the static order: the largest first.

In comparisons over many folders the number of parameters predicts better than most scores which network transfers best
(Chaves et al. 2025, https://arxiv.org/abs/2510.06448). So this is the order where nothing has been measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from regraft.models.catalogue import list_backbones, parameter_counts, pretrained_config
from regraft.models.pretrained import PACKAGES, cached_file, packaged_file
from regraft.models.spec import allows_commercial_use
from regraft.models.timm_import import import_timm

DOWNLOADS = (
    "efficientnet_b0.ra_in1k",
    "convnext_tiny.in12k_ft_in1k",
    "vit_small_patch14_dinov2.lvd142m",
    "convnext_small.in12k_ft_in1k",
    "vit_base_patch16_siglip_224.webli",
)
"""Networks that ``--download`` may fetch: from small to large, each with a license that allows commercial use."""


WEIGHT_SUFFIXES = frozenset({".safetensors", ".pt", ".pth", ".bin", ".tar", ".ckpt"})
"""Suffixes of files of weights in a folder."""

Source = Literal["package", "earlier download", "folder", "to download"]
"""The place of the weights of a network."""


@dataclass(frozen=True)
class PresentNetwork:
    """A network that can be used here.

    Attributes:
        name: timm's name.
        parameters: number of its parameters; 0 if unknown.
        pixels: pixels of its input.
        source: where its weights are.
    """

    name: str
    parameters: int
    pixels: int
    source: Source

    @property
    def work(self) -> float:
        """Rough measure of the time of a pass: parameters times pixels."""
        return float(max(self.parameters, 1) * self.pixels)


def present_networks(weights: Path | None = None, *, download: bool = False) -> list[PresentNetwork]:
    """Return the networks whose weights are present, the largest first; those without commercial use are left out.

    Args:
        weights: a folder of files that are named like networks; only these count then. None for the networks of
            installed packages and those that were downloaded earlier.
        download: whether to add those of `DOWNLOADS`.
    """
    if weights is not None:
        networks = [_network(name, "folder") for name in _names_in(weights)]
    else:
        networks = [_network(name, "package") for name in PACKAGES if packaged_file(name) is not None]
        networks += [_network(name, "earlier download") for name in _downloaded()]
        present = {network.name.partition(".")[0] for network in networks}
        more = [name for name in DOWNLOADS if download and name.partition(".")[0] not in present]
        networks += [_network(name, "to download") for name in more]
    usable = [one for one in networks if one.source == "folder" or _allows_commercial_use(one.name)]
    return sorted({one.name: one for one in usable}.values(), key=lambda one: (-one.parameters, one.name))


def _network(name: str, source: Source) -> PresentNetwork:
    cfg = pretrained_config(name)
    parameters = parameter_counts().get(name.partition(".")[0], 0)
    return PresentNetwork(name, parameters, int(cfg.input_size[1] * cfg.input_size[2]), source)


def _allows_commercial_use(name: str) -> bool:
    if packaged_file(name) is not None:
        return True
    return allows_commercial_use(pretrained_config(name).license) is not False


def _names_in(folder: Path) -> list[str]:
    """Return the names of networks for which a folder has a file of weights."""
    timm = import_timm()
    stems = sorted({path.stem for path in folder.iterdir() if path.suffix in WEIGHT_SUFFIXES})
    return [stem for stem in stems if timm.is_model(stem.partition(".")[0])]


def _downloaded() -> Iterable[str]:
    """Return the names of networks that were downloaded earlier; without any download, no configuration is read."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from torch.hub import get_dir

    hubs = (Path(HF_HUB_CACHE).glob("models--*"), Path(get_dir(), "checkpoints").glob("*.*"))
    if not any(True for hub in hubs for _ in hub):
        return []
    names = [info.name for info in list_backbones() if info.offline and packaged_file(info.name) is None]
    return [name for name in names if cached_file(pretrained_config(name)) is not None]
