"""Preprocessing of an image for a backbone: timm's evaluation transform without torchvision, and normalization.

Memory of batches is reused. A batch takes tens of megabytes; if each is allocated separately, small objects fill the
gaps between freed batches, the next batch does not fit there, and the process grows by several batches over thousands
of photos.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from regraft.data.decode import DECODER, Size
from regraft.data.decoding.rendering import FULL_RANGE, Ground, Rendering
from regraft.errors import ConfigError, did_you_mean, several

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
    "lanczos": Image.Resampling.LANCZOS,
}
CROP_MODES = ("center", "squash", "border")

_MAX_RESIZED_PIXELS = 1 << 24
"""Above this many pixels after resizing, only the part inside the crop is resized: panoramas would take gigabytes."""


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of a backbone; the field names are those of timm's data configurations.

    Attributes:
        height: height of the network's input, in pixels.
        width: width of the network's input, in pixels.
        interpolation: ``"bicubic"``, ``"bilinear"``, ``"lanczos"``, ``"hamming"``, ``"box"`` or ``"nearest"``.
        mean: mean of each channel, in [0, 1]; it is subtracted.
        std: standard deviation of each channel, in [0, 1]; the result is divided by it.
        crop_pct: share of the resized photo's side that the crop keeps.
        crop_mode: ``"center"`` resizes the short side and crops the center; ``"squash"`` resizes both sides without
            keeping their ratio; ``"border"`` resizes the long side and pads with the mean.
        white_level: value of 16-bit gray that becomes white, in [1, 65535].
        ground: ground of transparent photos: ``"white"``, or ``"visible"``: black where next to nothing of the picture
            differs from white, otherwise white.

    Raises:
        ConfigError: a value is invalid; all of them are listed.

    Example:
        >>> import regraft as rg
        >>> backbone = rg.build_backbone("test_resnet", pretrained=False, size=64)
        >>> (backbone.preprocessing.height, backbone.preprocessing.width)
        (64, 64)
        >>> rg.Preprocessing(height=96, width=96, crop_pct=1.0).mean
        (0.485, 0.456, 0.406)
    """

    height: int = 224
    width: int = 224
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    crop_pct: float = 0.875
    crop_mode: str = "center"
    white_level: int = FULL_RANGE
    ground: Ground = "white"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(float(v) for v in self.mean))
        object.__setattr__(self, "std", tuple(float(v) for v in self.std))
        problems = []
        if min(self.height, self.width) < 1:
            problems.append(f"size must be positive, not {self.height} × {self.width}")
        if self.interpolation not in INTERPOLATIONS:
            near = did_you_mean(self.interpolation, INTERPOLATIONS)
            problems.append(
                f"interpolation must be one of {', '.join(INTERPOLATIONS)}, not {self.interpolation!r}{near}"
            )
        if self.crop_mode not in CROP_MODES:
            near = did_you_mean(self.crop_mode, CROP_MODES)
            problems.append(f"crop_mode must be one of {', '.join(CROP_MODES)}, not {self.crop_mode!r}{near}")
        if {len(self.mean), len(self.std)} != {3} or min(self.std, default=0.0) <= 0:
            problems.append("mean and std must be three numbers each, std positive")
        if not self.crop_pct > 0:
            problems.append(f"crop_pct must be positive, not {self.crop_pct}")
        problems += self.rendering.problems
        if problems:
            raise ConfigError(several("preprocessing", problems))

    @property
    def rendering(self) -> Rendering:
        """Value of ``rendering`` for `read_photo`."""
        return Rendering(self.white_level, self.ground)

    def rendered(self, rendering: Rendering) -> Preprocessing:
        """Return this preprocessing with those choices of ``rendering`` that are not the usual ones."""
        return replace(self, **rendering.unusual)

    @property
    def resized(self) -> tuple[int, int]:
        """Target (height, width) of the resizing before the crop."""
        return math.floor(self.height / self.crop_pct), math.floor(self.width / self.crop_pct)

    @property
    def at_least(self) -> Size:
        """Value of ``at_least`` for `read_photo`: the (width, height) that `evaluation_pixels` needs."""
        height, width = self.resized
        return width, height

    @cached_property
    def id(self) -> str:
        """Short stable text of all fields and the decoder: photos of equal content and id have equal pixels."""
        text = json.dumps([DECODER, self.as_dict()], sort_keys=True)
        return f"{self.height}x{self.width}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, ready for JSON; ``white_level`` and ``ground`` only if they are not the usual ones."""
        fields = asdict(self) | {"mean": list(self.mean), "std": list(self.std)}
        unusual = self.rendering.unusual
        return {
            name: value for name, value in fields.items() if name not in ("white_level", "ground") or name in unusual
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Preprocessing:
        """Return the preprocessing that `as_dict` described.

        Raises:
            ConfigError: a field is unknown or invalid.
        """
        names = cls.__dataclass_fields__
        problems = [f"unknown field {key!r}{did_you_mean(key, names)}" for key in fields if key not in names]
        if problems:
            raise ConfigError(several("preprocessing", problems))
        return cls(**fields)


def evaluation_pixels(image: Image.Image, p: Preprocessing) -> NDArray[np.uint8]:
    """Return the evaluation pixels of a photo, equal to the byte to those of timm's evaluation transform.

    Method: ``timm.data.transforms_factory.transforms_imagenet_eval``.

    Args:
        image: of mode RGB, such as `read_photo` returns.
        p: the backbone's preprocessing.

    Returns:
        Shape (height, width, 3), uint8.
    """
    resample = INTERPOLATIONS[p.interpolation]
    size = _resized_size(image.size, p)
    if size[0] * size[1] > _MAX_RESIZED_PIXELS and size[0] >= p.width and size[1] >= p.height:
        return np.array(_middle_only(image, size, p))
    if size != image.size:
        image = image.resize(size, resample)
    fill = tuple(round(255 * v) for v in p.mean) if p.crop_mode == "border" else (0, 0, 0)
    return np.array(_crop_centre(image, (p.width, p.height), fill))


def normalise(pixels: NDArray[np.uint8], p: Preprocessing) -> torch.Tensor:
    """Return the normalized input of the network: ``(pixels / 255 - mean) / std``.

    Args:
        pixels: shape (B, H, W, 3), uint8.
        p: the backbone's preprocessing.

    Returns:
        Shape (B, 3, H, W), float32, in channels-last memory format.
    """
    import torch

    values = reusable_batch(pixels.shape)
    values.copy_(torch.from_numpy(np.require(pixels, requirements=["C", "W"])))
    mean, std = torch.tensor(p.mean, dtype=torch.float32), torch.tensor(p.std, dtype=torch.float32)
    return values.div_(255).sub_(mean).div_(std).permute(0, 3, 1, 2)


def _resized_size(size: Size, p: Preprocessing) -> Size:
    """Return (width, height) after resizing, rounded as in torchvision and timm."""
    width, height = size
    to_height, to_width = p.resized
    if p.crop_mode == "squash":
        return to_width, to_height
    if p.crop_mode == "center" and to_height == to_width:
        short, long = (width, height) if width <= height else (height, width)
        to_long = int(to_height * long / short)
        return (to_height, to_long) if width <= height else (to_long, to_height)
    pick = max if p.crop_mode == "border" else min
    ratio = pick(height / to_height, width / to_width)
    return max(1, round(width / ratio)), max(1, round(height / ratio))


def _offset(have: int, want: int) -> int:
    return int(round((have - want) / 2.0))  # noqa: RUF046 - the same rounding as torchvision


def _crop_centre(image: Image.Image, size: Size, fill: tuple[int, ...]) -> Image.Image:
    """Return the center of an image, which is padded first if it is smaller."""
    width, height = size
    missing = max(width - image.width, 0), max(height - image.height, 0)
    if any(missing):
        across, down = missing
        border = (across // 2, down // 2, (across + 1) // 2, (down + 1) // 2)
        image = ImageOps.expand(image, border=border, fill=fill)
    left, top = _offset(image.width, width), _offset(image.height, height)
    return image.crop((left, top, left + width, top + height))


def _middle_only(image: Image.Image, size: Size, p: Preprocessing) -> Image.Image:
    """Return the resized crop without resizing the rest; equal except for rounding and Pillow's order of the sides."""
    start, end = _span(image.width, size[0], p.width)
    top, bottom = _span(image.height, size[1], p.height)
    # Pillow stores a box in single precision: crop with a margin first, so that its coordinates are small
    margin_x, margin_y = (8 + 4 * math.ceil(have / size[i]) for i, have in enumerate(image.size))
    x, y = max(int(start) - margin_x, 0), max(int(top) - margin_y, 0)
    near = image.crop(
        (x, y, min(math.ceil(end) + margin_x, image.width), min(math.ceil(bottom) + margin_y, image.height))
    )
    box = (start - x, top - y, end - x, bottom - y)
    return near.resize((p.width, p.height), INTERPOLATIONS[p.interpolation], box=box)


def _span(have: int, resized: int, kept: int) -> tuple[float, float]:
    """Return start and end, in ``have`` pixels, of a crop that keeps ``kept`` of ``resized`` pixels."""
    first = _offset(resized, kept)
    return first * have / resized, (first + kept) * have / resized


_MAX_BUFFERS = 2  # a consumer holds one batch while the next is made
_FREE_REFCOUNT = 3  # references to an unused buffer: the list, the loop, the argument of getrefcount
_ALIGNMENT = 64

_buffers: list[NDArray[np.uint8]] = []
_lock = threading.Lock()


def reusable_batch(shape: tuple[int, ...]) -> torch.Tensor:
    """Return an uninitialized float32 tensor of ``shape``, in memory that no other live tensor uses.

    The memory is reused once it has no other references: ``torch.from_numpy`` holds its array as long as a tensor
    uses it, and an array holds the array that owns its memory.
    """
    import torch

    wanted = 4 * math.prod(shape)
    with _lock:
        buffer = _free_buffer(wanted)
        if buffer is None:
            buffer = np.empty(wanted + _ALIGNMENT, dtype=np.uint8)
            _buffers[:] = [*_buffers, buffer][-_MAX_BUFFERS:]
        start = -buffer.ctypes.data % _ALIGNMENT
        return torch.from_numpy(buffer[start : start + wanted].view(np.float32).reshape(shape))


def _free_buffer(wanted: int) -> NDArray[np.uint8] | None:
    """Return a free buffer that is large enough, but at most twice as large as needed; None if there is none."""
    for buffer in _buffers:
        if wanted <= buffer.nbytes - _ALIGNMENT <= 2 * wanted and sys.getrefcount(buffer) <= _FREE_REFCOUNT:
            return buffer
    return None
