"""Names of timm's networks, and what timm knows of their weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from regraft.data.preprocessing import Preprocessing
from regraft.errors import BackboneError, did_you_mean
from regraft.models.torchvision_shim import import_timm

DEFAULT = "tf_efficientnet_lite0"
"""The backbone whose weights come with regraft's own requirements."""

_DEFAULT_PREPROCESSING = Preprocessing(
    height=224, width=224, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_pct=0.875
)


def foreseen(name: str, size: int | None = None) -> Preprocessing | None:
    """Return how photos will be prepared for a network, without timm, whose import takes seconds; None if unknown.

    Whoever acts on it compares it with the network's own when that is there.
    """
    if name != DEFAULT:
        return None
    own = _DEFAULT_PREPROCESSING
    return replace(own, height=size or own.height, width=size or own.width)


def configuration(name: str) -> Any:
    """Return timm's ``PretrainedCfg`` of ``name``, which may carry a tag such as ``"resnet18.a1_in1k"``.

    Raises:
        BackboneError: there is no such network, or no such tag; says the nearest names.
    """
    timm = import_timm()
    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        raise BackboneError(f"unknown backbone {name!r}{did_you_mean(name, timm.list_models())}")
    tagged = timm.list_models(f"{base}.*", pretrained=True) if tag else []
    if tag and name not in tagged:
        raise BackboneError(f"unknown weights {name!r}{did_you_mean(name, tagged)}")
    found = timm.get_pretrained_cfg(name)
    if found is None:
        from timm.models import PretrainedCfg

        return PretrainedCfg(architecture=base)
    return found


def full_name(name: str, cfg: Any) -> str:
    """Return ``name`` with the tag of its weights."""
    return name if "." in name or not cfg.tag else f"{name}.{cfg.tag}"


def preprocessing_of(cfg: Any, size: int | None = None) -> Preprocessing:
    """Return how photos are prepared for the weights that ``cfg`` describes.

    Args:
        cfg: timm's ``PretrainedCfg``.
        size: height and width in pixels; that of the pretraining if None.
    """
    _, height, width = cfg.input_size
    return Preprocessing(
        height=size or height,
        width=size or width,
        interpolation=cfg.interpolation,
        mean=tuple(cfg.mean),
        std=tuple(cfg.std),
        crop_pct=cfg.crop_pct,
        crop_mode=cfg.crop_mode,
    )
