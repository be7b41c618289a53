"""Description of a backbone: source and license of its weights, training data, and preprocessing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regraft.data.preprocessing import Preprocessing

_COMMERCIAL_USE = {
    "apache-2.0": True,
    "mit": True,
    "bsd-3-clause": True,
    "cc-by-4.0": True,
    "nvidia-open-model-license": True,
    "apple-amlr": False,  # "Apple Machine Learning Research Model": research purposes only
    "fair-noncommercial-research-license": False,
}
_DATA_NAMES = {
    "in1k": "ImageNet-1k",
    "in12k": "ImageNet-12k",
    "in21k": "ImageNet-21k",
    "in22k": "ImageNet-22k",
    "laion2b": "LAION-2B",
    "laion400m": "LAION-400M",
    "laiona": "LAION-Aesthetics",
    "laion": "LAION",
    "openai": "OpenAI's WIT-400M",
    "webli": "WebLI",
    "datacompxl": "DataComp-XL",
    "dfn2b": "DFN-2B",
    "dfn5b": "DFN-5B",
    "metaclip": "MetaCLIP",
    "merged2b": "Merged-2B",
    "lvd142m": "LVD-142M",
    "lvd1689m": "LVD-1689M",
    "sat493m": "SAT-493M",
    "yfcc100m": "YFCC-100M",
    "ig1b": "Instagram-1B",
    "sa1b": "SA-1B",
    "jft300m": "JFT-300M",
}


@dataclass(frozen=True)
class BackboneSpec:
    """Frozen description of a backbone, part of every model file.

    Attributes:
        name: timm's name of the architecture.
        weights: source of the weights: a package, timm's tag, a file name, or ``"random"``.
        trained_on: training data of the weights, if known.
        licence: license of the weights; None if unknown.
        commercial: whether that license allows commercial use; None if unknown or conditional.
        num_features: length D of the features.
        parameters: number of parameters of the backbone.
        preprocessing: preprocessing of photos for the network.
        pooled: channels of each block whose pooled activations end the features, bottom to top; empty for a plain one.
    """

    name: str
    weights: str
    trained_on: str
    licence: str | None
    commercial: bool | None
    num_features: int
    parameters: int
    preprocessing: Preprocessing
    pooled: tuple[int, ...] = ()

    @property
    def top_features(self) -> int:
        """Number of features that the plain network computes; those of lower blocks follow them."""
        return self.num_features - 2 * sum(self.pooled)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types; ``pooled`` is absent for a plain network."""
        values = {**dataclasses.asdict(self), "preprocessing": self.preprocessing.as_dict()}
        pooled = values.pop("pooled")
        return {**values, "pooled": list(pooled)} if pooled else values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BackboneSpec:
        """Return the spec from the result of `as_dict`.

        Raises:
            ValueError: a field is missing, unknown, or has another type.
        """
        names = {f.name for f in dataclasses.fields(cls)}
        if set(values) | {"pooled"} != names:
            raise ValueError(f"fields differ: {', '.join(sorted((set(values) ^ names) - {'pooled'}))}")
        texts = [values["name"], values["weights"], values["trained_on"], values["licence"] or ""]
        pooled = values.get("pooled", [])
        if not isinstance(pooled, (list, tuple)):
            raise ValueError("a field has another type")  # noqa: TRY004 (as the docstring says)
        counts = [values["num_features"], values["parameters"], *pooled]
        if not all(isinstance(v, str) for v in texts) or not all(type(v) is int and v >= 0 for v in counts):
            raise ValueError("a field has another type")
        if values["commercial"] not in (True, False, None) or not isinstance(values["preprocessing"], Mapping):
            raise ValueError("a field has another type")
        try:
            preprocessing = Preprocessing.from_dict(dict(values["preprocessing"]))
        except (TypeError, KeyError) as error:
            raise ValueError(f"preprocessing: {error}") from error
        spec = cls(**{**values, "preprocessing": preprocessing, "pooled": tuple(pooled)})
        if spec.top_features <= 0:
            raise ValueError("more pooled channels than features")
        return spec


def allows_commercial_use(licence: str | None) -> bool | None:
    """Return whether ``licence`` (an identifier as used by model hubs) allows commercial use, None if unknown."""
    if licence is None:
        return None
    key = licence.lower()
    if "-nc-" in key or key.endswith("-nc"):
        return False
    return _COMMERCIAL_USE.get(key)


def trained_on(tag: str) -> str:
    """Return the training data in timm's tag, such as ``augreg_in21k_ft_in1k``, in words; the tag itself if unknown."""
    names = [_DATA_NAMES[part] for part in tag.split("_") if part in _DATA_NAMES]
    return ", then ".join(dict.fromkeys(names)) or tag or "unknown"
