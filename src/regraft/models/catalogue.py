"""Catalogue of timm's backbones: names, licenses and sizes, without building a network."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from regraft.data.preprocessing import Preprocessing
from regraft.errors import BackboneError, did_you_mean
from regraft.models.pretrained import LICENCE, cached_file, packaged_file
from regraft.models.spec import allows_commercial_use, trained_on
from regraft.models.timm_import import import_timm


@dataclass(frozen=True)
class BackboneInfo:
    """Description of an available backbone.

    Attributes:
        name: timm's name.
        parameters: number of parameters without a classifier; None if unknown without building it.
        size: (height, width) of the pretraining's input in pixels.
        licence: license of its default weights; None if unknown.
        commercial: whether that license allows commercial use; None if unknown or conditional.
        trained_on: training data of its default weights; empty if it has none.
        offline: whether weights are on this machine.
        pretrained: whether pretrained weights exist.
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
    """Return the backbones whose name matches ``pattern``, sorted by name.

    Args:
        pattern: part of a name, or a pattern such as ``"vit_*_patch16_*"``; case is ignored. An empty pattern matches
            all.

    Example:
        >>> import regraft as rg
        >>> [info.name for info in rg.list_backbones("tf_efficientnet_lite*")][:2]
        ['tf_efficientnet_lite0', 'tf_efficientnet_lite1']
        >>> rg.list_backbones("tf_efficientnet_lite0")[0].offline
        True
    """
    wanted = (pattern if any(c in pattern for c in "*?[") else f"*{pattern}*").lower()
    return [_backbone_info(name) for name in sorted(import_timm().list_models()) if fnmatch.fnmatchcase(name, wanted)]


def _backbone_info(name: str) -> BackboneInfo:
    cfg = pretrained_config(name)
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
        offline=packaged or (pretrained and cached_file(cfg) is not None),
        pretrained=pretrained,
    )


@cache
def parameter_counts() -> dict[str, int]:
    """Return the number of parameters by name, from a file: building all networks to count them takes minutes."""
    text = resources.files("regraft.models").joinpath("parameter_counts.txt").read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {name: int(count) for name, count in rows}


DEFAULT_BACKBONE = "tf_efficientnet_lite0"
"""The default backbone; a requirement of regraft ships its weights."""

AUTO = "auto"
"""In place of a name, the network is chosen by measurements on the photos."""

MAX_NETWORKS = 8
"""Maximum number of networks side by side."""


def backbone_names(text: str) -> tuple[str, ...]:
    """Return the names in a text such as ``"resnet18+resnet50"``, which means two networks side by side.

    Raises:
        ValueError: a name is missing or occurs twice, or there are too many.

    Example:
        >>> backbone_names("tf_efficientnet_lite0 + tf_efficientnet_lite2")
        ('tf_efficientnet_lite0', 'tf_efficientnet_lite2')
    """
    names = tuple(name.strip() for name in text.split("+"))
    if not all(names):
        raise ValueError(f"expected a network, or several joined by +, such as resnet18+resnet50; found {text!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"expected each network once, found {text!r}")
    if AUTO in names and len(names) > 1:
        raise ValueError(f"expected {AUTO} alone or the names of networks, found {text!r}")
    if len(names) > MAX_NETWORKS:
        raise ValueError(f"expected at most {MAX_NETWORKS} networks, found {len(names)}")
    return names


_DEFAULT_PREPROCESSING = Preprocessing(
    height=224, width=224, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_pct=0.875
)


def expected_preprocessing(name: str, size: int | None = None) -> Preprocessing | None:
    """Return the expected preprocessing of a network without importing timm, which takes seconds; None if unknown.

    The caller must compare it with the network's own preprocessing later.
    """
    if name != DEFAULT_BACKBONE:
        return None
    own = _DEFAULT_PREPROCESSING
    return replace(own, height=size or own.height, width=size or own.width)


def pretrained_config(name: str) -> Any:
    """Return timm's ``PretrainedCfg`` of ``name``, which may have a tag such as ``"resnet18.a1_in1k"``.

    Raises:
        BackboneError: there is no such network or tag; the message suggests similar names.
    """
    if name == AUTO:
        raise BackboneError(f"the backbone {AUTO!r} is chosen by train, advise and lr; expected the name of a network")
    timm = import_timm()
    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        raise BackboneError(f"unknown backbone {name!r}{did_you_mean(name, timm.list_models())}")
    if tag and not timm.is_model_pretrained(name):
        tagged = timm.list_models(f"{base}.*", pretrained=True)  # takes 10 ms
        raise BackboneError(f"unknown weights {name!r}{did_you_mean(name, tagged)}")
    config = timm.get_pretrained_cfg(name)
    if config is None:
        from timm.models import PretrainedCfg

        return PretrainedCfg(architecture=base)
    return config


def name_with_tag(name: str, cfg: Any) -> str:
    """Return ``name`` with the tag of its weights."""
    return name if "." in name or not cfg.tag else f"{name}.{cfg.tag}"


def preprocessing_of(cfg: Any, size: int | None = None) -> Preprocessing:
    """Return the preprocessing for the weights that ``cfg`` describes.

    Args:
        cfg: timm's ``PretrainedCfg``.
        size: height and width in pixels; those of the pretraining if None.
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
