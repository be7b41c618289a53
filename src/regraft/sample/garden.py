"""A flower in a garden, and the photo of it: ground, stems, leaves, light, focus and noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from regraft.sample.flower_heads import Color, as_color

GROUND = 256
"""Width and height of a garden in pixels; a photo shows most of it."""

Random = np.random.Generator

GREENS = ((64, 108, 48), (92, 138, 62), (46, 84, 52), (116, 146, 84))
GROUNDS = ((70, 104, 56), (104, 82, 58), (150, 184, 220), (136, 138, 130), (44, 60, 44), (176, 160, 130))


def draw_garden(head: Callable[[Random], Image.Image], rng: Random) -> Image.Image:
    """Return a garden with one to three flowers of one kind, RGB, of `GROUND` pixels."""
    garden = _ground(rng)
    pen = ImageDraw.Draw(garden)
    count = int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15]))
    size = int(rng.uniform(80, 200) / count**0.45)
    green = GREENS[int(rng.integers(len(GREENS)))]
    for _ in range(count):
        x, y = (GROUND / 2 + rng.uniform(-1, 1, 2) * (20 + 33 * (count - 1))).tolist()
        _stem(pen, rng, (x, y), size, green)
        _place(garden, head(rng), rng, (x, y), size)
    for _ in range(int(rng.integers(0, 9))):
        _leaf(pen, rng, green)
    return garden


def take_photo(garden: Image.Image, light: Random, shot: Random, side: int) -> Image.Image:
    """Return a photo of ``garden`` of ``side`` pixels: the light is that of the place, the view that of the shot."""
    view = 200 * shot.uniform(0.92, 1.08)
    left, top = ((GROUND - view) / 2 + shot.uniform(-9, 9, 2)).tolist()
    turned = garden.rotate(shot.uniform(-7, 7), Image.Resampling.BILINEAR, fillcolor=garden.getpixel((5, 5)))
    seen = turned.resize((side, side), Image.Resampling.BOX, (left, top, left + view, top + view))
    seen = seen.filter(ImageFilter.GaussianBlur(light.uniform(0, 1.3)))
    values = np.asarray(seen, dtype=np.float64) / 255
    values = values ** light.uniform(0.7, 1.5) * light.uniform(0.75, 1.1) * light.uniform(0.88, 1.12, 3)
    values += _smooth_noise(light, side, 4) * 0.16 + shot.normal(0, light.uniform(0.005, 0.05), values.shape)
    return Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))


def _ground(rng: Random) -> Image.Image:
    """Return grass, soil, sky or stone, out of focus, with blades."""
    color = np.array(GROUNDS[int(rng.integers(len(GROUNDS)))]) + rng.normal(0, 12, 3)
    texture = sum(_smooth_noise(rng, GROUND, cells) / (i + 1) for i, cells in enumerate((5, 14, 48)))
    values = color * (1 + rng.uniform(0.2, 0.6) * np.asarray(texture))
    ground = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(ground)
    for _ in range(int(rng.integers(0, 90))):
        x, y, length = rng.uniform(0, GROUND), rng.uniform(0, GROUND * 1.2), rng.uniform(27, 100)
        tone = as_color(np.array(GREENS[int(rng.integers(4))]) * rng.uniform(0.6, 1.3))
        pen.line([(x, y), (x + rng.normal(0, 17), y - length)], fill=tone, width=int(rng.integers(1, 5)))
    return ground.filter(ImageFilter.GaussianBlur(rng.uniform(0.7, 4.5)))


def _smooth_noise(rng: Random, side: int, cells: int) -> NDArray[np.float64]:
    """Return noise between about -1 and 1 that changes slowly, shape (side, side, 1)."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64)[..., None]


def _stem(pen: ImageDraw.ImageDraw, rng: Random, top: tuple[float, float], size: int, green: Color) -> None:
    foot = (top[0] + rng.normal(0, 27), GROUND + 20)
    pen.line([top, foot], fill=green, width=max(3, size // 24))


def _leaf(pen: ImageDraw.ImageDraw, rng: Random, green: Color) -> None:
    """Draw a leaf in the lower half, which may cover a part of a flower."""
    x, y = rng.uniform(0, GROUND), GROUND * rng.uniform(0.55, 1.1)
    width, length, lean = rng.uniform(5, 16), rng.uniform(33, 87), rng.normal(0, 27)
    along = np.linspace(0, 1, 9)
    spine_x, spine_y, half = x + lean * along**1.5, y - length * along, width * np.sin(np.pi * along**0.7)
    outline = [*zip(spine_x - half, spine_y, strict=True), *zip((spine_x + half)[::-1], spine_y[::-1], strict=True)]
    pen.polygon([(float(a), float(b)) for a, b in outline], fill=as_color(np.array(green) * rng.uniform(0.6, 1.2)))


def _place(garden: Image.Image, head: Image.Image, rng: Random, middle: tuple[float, float], size: int) -> None:
    """Paste ``head`` at ``middle``, tilted and turned, with a shadow below it."""
    tilt = rng.uniform(0.55, 1.0)
    seen = head.resize((size, max(1, int(size * tilt))), Image.Resampling.BICUBIC)
    seen = seen.rotate(rng.normal(0, 16), Image.Resampling.BICUBIC, expand=True)
    left, top = int(middle[0] - seen.width / 2), int(middle[1] - seen.height / 2)
    shade = seen.getchannel("A").filter(ImageFilter.GaussianBlur(2)).point(lambda opaque: opaque // 5)
    garden.paste((0, 0, 0), (left + size // 30, top + size // 22), shade)
    garden.paste(seen, (left, top), seen)
