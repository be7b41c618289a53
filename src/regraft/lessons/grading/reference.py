"""The input that a network expects, and the answer of the untouched network to a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft.errors import RegraftError

KERAS = {
    "tf": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "torch": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "caffe": ((0.485, 0.458, 0.408), (1 / 255, 1 / 255, 1 / 255)),
    "none": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}
"""Mean and deviation of the modes of ``keras.applications.*.preprocess_input``, for pixels in [0, 1]."""

KERAS_MODES = {
    "xception": "tf", "inceptionv3": "tf", "mobilenet": "tf", "mobilenetv2": "tf", "resnet50v2": "tf", "nasnet": "tf",
    "densenet": "torch", "vgg16": "caffe", "vgg19": "caffe", "resnet50": "caffe", "resnet101": "caffe",
    "efficientnet": "none", "mobilenetv3": "none", "convnext": "none",
}  # fmt: skip
"""The mode of networks, by the beginning of their lower-case names."""


@dataclass(frozen=True)
class Channels:
    """Mean and standard deviation of three channels, in any order of the channels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def normalization(network: str) -> Channels | None:
    """Return the normalization of a network, for pixels in [0, 1]; None if it is unknown."""
    kind, _, name = network.rpartition("/")
    if kind.startswith("keras"):
        plain = name.lower().replace("_", "")
        modes = [KERAS_MODES[start] for start in sorted(KERAS_MODES, key=len, reverse=True) if plain.startswith(start)]
        return Channels(*KERAS[modes[0]]) if modes else None
    from regraft.models.catalogue import preprocessing_of, pretrained_config

    try:
        prepared = preprocessing_of(pretrained_config(network), None)
    except RegraftError:
        return None
    return Channels(tuple(prepared.mean), tuple(prepared.std))


def expected_input(photo: Path, network: str) -> Channels | None:
    """Return mean and deviation of each channel of ``photo`` as the network gets it; None if that is unknown."""
    norm = normalization(network)
    if norm is None:
        return None
    pixels = _pixels(photo)
    mean, std = pixels.mean(axis=(0, 1)), pixels.std(axis=(0, 1))
    return Channels(
        tuple(((mean - np.array(norm.mean)) / np.array(norm.std)).tolist()), tuple((std / np.array(norm.std)).tolist())
    )


def is_input(found: Channels, expected: Channels) -> bool:
    """Return whether the channels agree, as well as crop and resizing allow, in RGB or in BGR."""

    def agree(mean: Sequence[float], std: Sequence[float]) -> bool:
        ratio = np.array(std) / np.maximum(np.array(expected.std), 1e-9)
        distance = np.abs(np.array(mean) - np.array(expected.mean)) / np.maximum(np.array(expected.std), 1e-9)
        return bool((ratio > 0.7).all() and (ratio < 1.4).all() and (distance < 0.7).all())

    return agree(found.mean, found.std) or agree(found.mean[::-1], found.std[::-1])


def likely_mistake(found: Channels, photo: Path) -> str:
    """Return a sentence on how such an input was probably made."""
    pixels = _pixels(photo).std()
    factor = float(np.mean(found.std)) / max(float(pixels), 1e-9)
    if factor > 60:
        return "Its pixels go from 0 to 255."
    if 0.75 < factor < 1.3:
        return "Its pixels go from 0 to 1 and are not normalized."
    if 3.3 < factor < 5.5:
        return "It looks normalized with ImageNet's mean and deviation."
    if 1.6 < factor < 2.5:
        return "Its pixels go from -1 to 1."
    return "It is normalized in another way."


@cache
def untouched_top5(network: str, photos: tuple[Path, ...]) -> tuple[tuple[int, ...], ...] | None:
    """Return the five most probable classes of each photo by a pretrained network; None if it is unavailable here."""
    import torch

    from regraft.models.catalogue import preprocessing_of, pretrained_config
    from regraft.models.pretrained import packaged_file
    from regraft.models.untouched import untouched_network

    if packaged_file(network) is None:
        return None  # a grade must not depend on a download
    prepared = preprocessing_of(pretrained_config(network), None)
    side = round(prepared.height / prepared.crop_pct)
    crop = (side - prepared.height) // 2
    box = (crop, crop, crop + prepared.width, crop + prepared.height)
    images = [
        Image.open(photo).convert("RGB").resize((side, side), Image.Resampling.BICUBIC).crop(box) for photo in photos
    ]
    pixels = np.stack([np.asarray(image, dtype=np.float32) / 255 for image in images])
    x = torch.from_numpy(((pixels - np.array(prepared.mean)) / np.array(prepared.std)).astype(np.float32))
    with torch.inference_mode():
        top = untouched_network(network)(x.permute(0, 3, 1, 2)).topk(5).indices
    return tuple(tuple(row) for row in top.tolist())


def _pixels(photo: Path) -> NDArray[np.float64]:
    """Return the square in the middle of a photo, with values in [0, 1]."""
    values = np.asarray(Image.open(photo).convert("RGB"), dtype=np.float64) / 255
    height, width = values.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    return values[top : top + edge, left : left + edge]
