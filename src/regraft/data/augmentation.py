"""Random views of a photo for training: a pure function of the photo and a key."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from regraft.data.decode import Size
from regraft.data.preprocessing import INTERPOLATIONS, Preprocessing
from regraft.errors import ConfigError, several
from regraft.randomness import Part, generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GRAY = np.array([299, 587, 114]) / 1000  # ITU-R 601-2, as Pillow's own conversion to gray
_TRIES = 10


@dataclass(frozen=True)
class Augmentation:
    """A random resized crop, a horizontal flip, and a mild change of color.

    Attributes:
        scale: range of the crop's share of the photo's area.
        ratio: range of the crop's width over height, drawn evenly in its logarithm.
        flip: whether half of the views are mirrored horizontally.
        brightness: factors are drawn from ``1 ± brightness``.
        contrast: factors are drawn from ``1 ± contrast``.
        saturation: factors are drawn from ``1 ± saturation``.

    Raises:
        ConfigError: a value is invalid; all of them are listed.

    Example:
        >>> import regraft as rg
        >>> rg.Augmentation(scale=(0.5, 1.0), flip=False).scale
        (0.5, 1.0)
        >>> rg.Augmentation(brightness=2.0)
        Traceback (most recent call last):
        regraft.errors.ConfigError: augmentation: brightness must be in [0, 1], not 2.0
    """

    scale: tuple[float, float] = (0.6, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            problems.append(f"scale must satisfy 0 < smaller <= larger <= 1, not {self.scale}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            problems.append(f"ratio must satisfy 0 < smaller <= larger, not {self.ratio}")
        problems += [
            f"{name} must be in [0, 1], not {getattr(self, name)}"
            for name in ("brightness", "contrast", "saturation")
            if not 0 <= getattr(self, name) <= 1
        ]
        if problems:
            raise ConfigError(several("augmentation", problems))

    @property
    def id(self) -> str:
        """Short stable text of all fields."""
        text = json.dumps(asdict(self), sort_keys=True)
        return f"view1-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class ViewDraw:
    """The random values of one view: a crop as shares of the photo's sides, a flip, and three factors."""

    left: float
    top: float
    width: float
    height: float
    flip: bool
    brightness: float
    contrast: float
    saturation: float

    def box(self, size: Size) -> tuple[float, float, float, float]:
        """Return the (left, top, right, bottom) of the crop in pixels of a photo of this (width, height)."""
        wide, high = size
        right, bottom = min((self.left + self.width) * wide, wide), min((self.top + self.height) * high, high)
        return self.left * wide, self.top * high, right, bottom


def random_view(image: Image.Image, p: Preprocessing, a: Augmentation, *key: Part) -> NDArray[np.uint8]:
    """Return one random view of a photo for training.

    Method: random resized crop (Szegedy et al. 2015, "Going Deeper with Convolutions") as in torchvision; then
    brightness, contrast and saturation in this order, rounded once at the end.

    Args:
        image: of mode RGB.
        p: preprocessing, for the size and the interpolation.
        a: ranges of the random values.
        key: key of the random values, such as ``(seed, epoch, content)``.

    Returns:
        Shape (height, width, 3), uint8.
    """
    draw = draw_view(image.size, a, key)
    view = image.resize((p.width, p.height), INTERPOLATIONS[p.interpolation], box=draw.box(image.size))
    if draw.flip:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.array(_recolour(view, draw.brightness, draw.contrast, draw.saturation))


def view_decode_size(size: Size, p: Preprocessing, a: Augmentation, *key: Part) -> Size:
    """Return the (width, height) of the whole photo at which the view's crop has the network's input size."""
    draw = draw_view(size, a, key)
    return math.ceil(p.width / draw.width), math.ceil(p.height / draw.height)


def draw_view(size: Size, a: Augmentation, key: tuple[Part, ...]) -> ViewDraw:
    """Return the random values of the view that ``key`` names, of a photo of this (width, height)."""
    draws = generator("augmentation", *key).random(2 * _TRIES + 6)
    flip, brightness, contrast, saturation, across, down = draws[2 * _TRIES :]
    width, height = _crop(size, a, draws[:_TRIES], draws[_TRIES : 2 * _TRIES])
    return ViewDraw(
        left=float(across) * (1 - width),
        top=float(down) * (1 - height),
        width=width,
        height=height,
        flip=bool(a.flip and flip < 0.5),
        brightness=1 + a.brightness * (2 * float(brightness) - 1),
        contrast=1 + a.contrast * (2 * float(contrast) - 1),
        saturation=1 + a.saturation * (2 * float(saturation) - 1),
    )


def _crop(size: Size, a: Augmentation, areas: NDArray[np.float64], ratios: NDArray[np.float64]) -> tuple[float, float]:
    """Return the crop's (width, height) as shares of the photo's: the first random one that fits, or the largest."""
    form = size[0] / size[1]
    low, high = math.log(a.ratio[0]), math.log(a.ratio[1])
    for i in range(_TRIES):
        area = a.scale[0] + (a.scale[1] - a.scale[0]) * float(areas[i])
        ratio = math.exp(low + (high - low) * float(ratios[i]))
        width, height = math.sqrt(area * ratio / form), math.sqrt(area * form / ratio)
        if width <= 1 and height <= 1:
            return width, height
    nearest = min(max(form, a.ratio[0]), a.ratio[1])
    return min(1.0, nearest / form), min(1.0, form / nearest)


def _recolour(image: Image.Image, brightness: float, contrast: float, saturation: float) -> Image.Image:
    """Return the image with brightness, contrast and saturation changed by the linear map of `color_map`."""
    if brightness == contrast == saturation == 1:
        return image
    counts = np.asarray(image.convert("L").histogram())
    mean = float(counts @ np.arange(256)) / counts.sum()
    matrix, share = color_map(brightness, contrast, saturation)
    offset = share * mean
    rows = [(*(float(v) for v in row), offset) for row in matrix]
    return image.convert("RGB", (*rows[0], *rows[1], *rows[2]))


def color_map(brightness: float, contrast: float, saturation: float) -> tuple[NDArray[np.float64], float]:
    """Return the linear map of a change of color: a matrix, shape (3, 3), and a factor of the mean gray value.

    For a pixel x with gray value g, and the mean gray value m, the result with brightness b, contrast c and saturation
    s is ``b·c·(s·x + (1 - s)·g) + (1 - c)·b·m``.
    """
    matrix = brightness * contrast * (saturation * np.eye(3) + (1 - saturation) * _GRAY)
    return matrix, (1 - contrast) * brightness
