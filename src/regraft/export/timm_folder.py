"""A folder that ``timm.create_model("local-dir:…")`` loads: ``config.json``, ``model.safetensors`` and a model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from regraft.data.preprocessing import Preprocessing, evaluation_pixels, normalise
from regraft.disk.atomic import write_json
from regraft.errors import ConfigError
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.models.timm_import import import_timm

WITHOUT_BOUNDS = (
    "timm's networks cannot clip features to the range of the training photos, as the head of a linear probe does: "
    "probabilities of unusual photos differ"
)
"""Note about a classifier whose head has bounds."""


def write_timm_folder(classifier: Classifier | Ensemble, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` of a classifier, in timm's format.

    Args:
        classifier: a single classifier.
        folder: an existing folder.

    Raises:
        ConfigError: timm has no single network that computes this classifier.
    """
    if isinstance(classifier, Ensemble):
        raise ConfigError(
            f"--format timm: timm has no network for {len(classifier.members)} classifiers side by side; "
            "expected a model with one network"
        )
    spec = classifier.backbone.spec
    if spec.pooled:
        raise ConfigError(f"--format timm: timm's {spec.name} has no features of all depths; expected a plain network")
    network = _with_head(classifier)
    config = _config(classifier, network)
    write_json(folder / "config.json", config)
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _with_head(classifier: Classifier) -> nn.Module:
    """Return timm's network with its own classifier, which has the weights of the head.

    Raises:
        ConfigError: timm's classifier is not a single linear layer on the features.
    """
    spec = classifier.backbone.spec
    network: nn.Module = import_timm().create_model(
        spec.name, num_classes=len(classifier.classes), **_size_argument(spec)
    )
    tensors = dict(classifier.backbone.network.state_dict())
    missing = {name: tensor.shape for name, tensor in network.state_dict().items() if name not in tensors}
    weight, bias = classifier.linear_head()
    names = {kind: [name for name in missing if name.endswith(kind)] for kind in (".weight", ".bias")}
    if len(missing) != 2 or any(len(matches) != 1 for matches in names.values()):
        raise ConfigError(
            f"--format timm: the classifier of timm's {spec.name} is not a single linear layer: {', '.join(missing)}"
        )
    (weight_name,), (bias_name,) = names.values()
    head = {weight_name: weight.reshape(missing[weight_name]), bias_name: bias.reshape(missing[bias_name])}
    network.load_state_dict({**tensors, **head})
    return network.eval()


def _size_argument(spec: Any) -> dict[str, int]:
    """Return the argument that sets the input size of a network whose weights depend on it."""
    timm = import_timm()
    default = timm.get_pretrained_cfg(spec.name)
    size = (spec.preprocessing.height, spec.preprocessing.width)
    fixed = bool(default and default.fixed_input_size) and tuple(default.input_size[1:]) != size
    return {"img_size": size[0]} if fixed else {}


def _config(classifier: Classifier, network: nn.Module) -> dict[str, Any]:
    spec, p = classifier.backbone.spec, classifier.preprocessing
    described: Any = network
    own = dict(described.pretrained_cfg)
    config: dict[str, Any] = {
        "architecture": spec.name.split(".")[0],
        "num_classes": len(classifier.classes),
        "num_features": int(described.num_features),
        "label_names": list(classifier.classes),
        "pretrained_cfg": {
            "input_size": [3, p.height, p.width],
            "fixed_input_size": bool(own.get("fixed_input_size", False)),
            "interpolation": p.interpolation,
            "crop_pct": p.crop_pct,
            "crop_mode": p.crop_mode,
            "mean": list(p.mean),
            "std": list(p.std),
            "num_classes": len(classifier.classes),
            "first_conv": own.get("first_conv"),
            "classifier": own.get("classifier"),
            "license": spec.licence,
        },
    }
    arguments = _size_argument(spec)
    return config | ({"model_args": arguments} if arguments else {})


class LoadedByTimm:
    """The folder of `write_timm_folder`, loaded as a user of timm loads it.

    Args:
        folder: the folder.
        preprocessing: preprocessing of photos.
    """

    def __init__(self, folder: Path, preprocessing: Preprocessing) -> None:
        self._network: Any = import_timm().create_model(f"local-dir:{folder}", pretrained=True).eval()
        self._preprocessing = preprocessing

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of normalized pixels: (n, 3, h, w) -> (n, C)."""
        with torch.inference_mode():
            logits: torch.Tensor = self._network(x)
        return logits

    def classify(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities of a photo from its pixels, (H, W, 3)."""
        from PIL import Image

        pixels = evaluation_pixels(Image.fromarray(photo), self._preprocessing)
        probabilities: NDArray[np.float32] = (
            self.logits(normalise(pixels[None], self._preprocessing)).softmax(1)[0].numpy()
        )
        return probabilities


def label_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the classes in ``config.json``."""
    return tuple(json.loads((folder / "config.json").read_text(encoding="utf-8"))["label_names"])
