"""Agreement of a data set of photos with a network: the same preprocessing and the same classes.

A network that was pretrained with one normalization learns and predicts worse with another, and a classifier whose
outputs have another order than the labels learns the wrong names. Neither mistake raises an error by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from regraft.data.decoding.rendering import PLAIN, Rendering
from regraft.data.preprocessing import Preprocessing
from regraft.data.source import composed
from regraft.errors import ConfigError, several


@dataclass(frozen=True)
class NetworkRequirements:
    """The preprocessing and the classes that a network requires.

    Attributes:
        preprocessing: preprocessing of the photos.
        classes: names of the classes in the order of the outputs; empty if the network does not name them.
        from_classifier: whether the network was trained with it; otherwise it is what timm uses for pretrained weights.
        name: name of the network, for messages.
    """

    preprocessing: Preprocessing
    classes: tuple[str, ...]
    from_classifier: bool
    name: str


def network_requirements(network: Any) -> NetworkRequirements | None:
    """Return the requirements of ``network``, or None if it does not declare any.

    Args:
        network: a Backbone, a Classifier, a network of timm, or a module around one of these.
    """
    if isinstance(network, type):
        return None
    for module in _modules(network):
        preprocessing, timms = getattr(module, "preprocessing", None), getattr(module, "pretrained_cfg", None)
        name = type(module).__name__
        if isinstance(preprocessing, Preprocessing):
            return NetworkRequirements(preprocessing, tuple(getattr(module, "classes", ())), True, name)
        if isinstance(timms, Mapping) and len(timms.get("mean") or ()) == len(timms.get("std") or ()) == 3:
            return NetworkRequirements(_timm_preprocessing(timms), (), False, str(timms.get("architecture") or name))
    return None


def render_untrained(network: Any, rendering: Rendering) -> None:
    """Let an untrained network of regraft prepare photos with ``rendering``; a later folder changes nothing.

    Args:
        network: a Backbone, or a module around one. Other networks, such as a Classifier, are not changed.
        rendering: the rendering that suits the photos that it will be trained on.
    """
    for module in _modules(network):
        if isinstance(getattr(module, "preprocessing", None), Preprocessing):
            if hasattr(module, "render") and module.preprocessing.rendering == PLAIN:
                module.render(rendering)
            return


def _modules(network: Any) -> Iterable[Any]:
    return network.modules() if callable(getattr(network, "modules", None)) else (network,)


def _timm_preprocessing(cfg: Mapping[str, Any]) -> Preprocessing:
    fields = {key: cfg[key] for key in ("mean", "std", "interpolation", "crop_pct", "crop_mode") if cfg.get(key)}
    _, height, width = cfg.get("input_size") or (3, 224, 224)
    return Preprocessing(height=height, width=width, **fields)


def check_agreement(preprocessing: Preprocessing, classes: Sequence[str], network: Any) -> str:
    """Compare a data set with the network that will process it.

    Args:
        preprocessing: preprocessing of the photos in the data set.
        classes: names of its classes, in the order of the labels.
        network: the module.

    Returns:
        A warning if the normalization differs from that of timm's pretrained weights, else an empty string.

    Raises:
        ConfigError: the preprocessing or the classes differ; all differences are listed.
    """
    needs = network_requirements(network)
    if needs is None:
        return ""
    if not needs.from_classifier:
        return _warning(preprocessing, needs)
    problems = [
        f"{field.name}: {_format_value(getattr(needs.preprocessing, field.name))} for the network, "
        f"{_format_value(getattr(preprocessing, field.name))} in the data set"
        for field in fields(Preprocessing)
        if getattr(needs.preprocessing, field.name) != getattr(preprocessing, field.name)
    ]
    if needs.classes and [composed(name) for name in classes] != [composed(name) for name in needs.classes]:
        problems.append(
            f"classes: {_format_names(needs.classes)} for the network, {_format_names(classes)} in the data set"
        )
    if problems:
        raise ConfigError(
            several(f"the photos are not prepared as the {needs.name} needs them", problems)
            + "\n  create the data set for the network: ImageFolder(folder, network=classifier)"
        )
    return ""


def _warning(p: Preprocessing, needs: NetworkRequirements) -> str:
    required = needs.preprocessing
    if (required.mean, required.std) == (p.mean, p.std):
        return ""
    wanted = f"mean {_format_value(required.mean)} and std {_format_value(required.std)}"
    return (
        f"photos are normalized with mean {_format_value(p.mean)} and std {_format_value(p.std)}; "
        f"the pretrained weights of {needs.name} need {wanted}: ImageFolder(folder, network=module) has these"
    )


def _format_value(value: Any) -> str:
    return f"({', '.join(f'{v:g}' for v in value)})" if isinstance(value, tuple) else str(value)


def _format_names(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" … ({len(names)})" if len(names) > 10 else "")
