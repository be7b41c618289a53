"""What backbones there are, without building any."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from functools import cache
from importlib import resources

from regraft.models import hub
from regraft.models.names import configuration
from regraft.models.packaged import LICENCE, packaged_file
from regraft.models.spec import allows_commercial_use, trained_on
from regraft.models.torchvision_shim import import_timm


@dataclass(frozen=True)
class BackboneInfo:
    """A backbone that can be asked for.

    Attributes:
        name: timm's name.
        parameters: number of parameters without a classifier; None where it is not known without building it.
        size: (height, width) of the input of the pretraining, in pixels.
        licence: of its default weights, None where it is not known.
        commercial: whether that licence allows commercial use; None where it is not known or has conditions.
        trained_on: the data of its default weights; empty where it has none.
        offline: whether weights are on this machine already.
        pretrained: whether there are weights at all.
    """

    name: str
    parameters: int | None
    size: tuple[int, int]
    licence: str | None
    commercial: bool | None
    trained_on: str
    offline: bool
    pretrained: bool


def list_backbones(pattern: str = "") -> list[BackboneInfo]:
    """Return the backbones whose name matches ``pattern``, in the order of their names.

    Args:
        pattern: part of a name, or a pattern such as ``"vit_*_patch16_*"``, in any case; all backbones if empty.
    """
    wanted = (pattern if any(c in pattern for c in "*?[") else f"*{pattern}*").lower()
    return [_info(name) for name in sorted(import_timm().list_models()) if fnmatch.fnmatchcase(name, wanted)]


def _info(name: str) -> BackboneInfo:
    cfg = configuration(name)
    packaged = packaged_file(name) is not None
    licence = LICENCE if packaged else cfg.license
    pretrained = packaged or bool(cfg.has_weights)
    return BackboneInfo(
        name=name,
        parameters=parameter_counts().get(name),
        size=(cfg.input_size[1], cfg.input_size[2]),
        licence=licence if pretrained else None,
        commercial=allows_commercial_use(licence) if pretrained else None,
        trained_on=("ImageNet-1k" if packaged else trained_on(cfg.tag or "")) if pretrained else "",
        offline=packaged or (pretrained and hub.cached_file(cfg) is not None),
        pretrained=pretrained,
    )


@cache
def parameter_counts() -> dict[str, int]:
    """Return the number of parameters by name, read from a file: building all networks to count takes minutes."""
    text = resources.files("regraft.models").joinpath("parameter_counts.txt").read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {name: int(count) for name, count in rows}
