"""Heads of five kinds of flowers, drawn from random numbers on a transparent ground."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE = 140
"""Width and height of a head in pixels, before it is placed in a picture."""

MIDDLE = SIZE / 2
REACH = 0.97 * MIDDLE
"""Length of the longest petals in pixels."""

Color = tuple[int, int, int]
Random = np.random.Generator
Pen = ImageDraw.ImageDraw


def daisy(rng: Random) -> Image.Image:
    """Return a disk with one ring of narrow petals."""
    head, pen = _canvas()
    petal = _pick(
        rng, [(245, 245, 240), (238, 226, 240), (250, 240, 214), (240, 196, 214), (244, 214, 90)], [5, 2, 1, 2, 1]
    )
    count = int(rng.integers(13, 27))
    disk = rng.uniform(0.2, 0.33)
    _ring(pen, rng, petal, count, radius=REACH, width=rng.uniform(0.75, 1.1) * 210 / count, tip=rng.uniform(0.55, 0.8))
    _disk(pen, rng, REACH * disk, _pick(rng, [(232, 176, 32), (214, 150, 40), (150, 110, 40)], [5, 3, 1]))
    return head


def dandelion(rng: Random) -> Image.Image:
    """Return many rings of thin petals without a disk, or a ball of seeds."""
    head, pen = _canvas()
    if rng.random() < 0.3:
        return _seed_ball(head, pen, rng)
    petal = _pick(rng, [(246, 206, 32), (238, 186, 24), (250, 222, 90)], [4, 3, 2])
    for ring in np.linspace(1, 0.18, int(rng.integers(5, 8))):
        count = int(rng.integers(34, 52) * (0.45 + 0.55 * ring))
        _ring(pen, rng, _shade(petal, 1.1 - 0.25 * ring), count, radius=REACH * ring, width=5, tip=0.85)
    return head


def rose(rng: Random) -> Image.Image:
    """Return a spiral of overlapping round petals."""
    head, pen = _canvas()
    petal = _pick(
        rng,
        [(196, 24, 44), (226, 92, 130), (240, 190, 200), (238, 200, 96), (240, 232, 220), (226, 120, 70)],
        [4, 3, 2, 2, 2, 1],
    )
    turn = rng.uniform(0, 2 * np.pi)
    layers = int(rng.integers(20, 30))
    for layer in range(layers):
        out = (1 - layer / layers) ** 0.9
        angle = turn + 2.4 * layer
        reach, size = 35 * out, 10 + 24 * out
        x, y = MIDDLE + reach * np.cos(angle), MIDDLE + reach * np.sin(angle)
        light = 0.62 + 0.5 * out + rng.uniform(-0.06, 0.06)
        pen.ellipse((x - size - 1.5, y - size - 1.5, x + size + 1.5, y + size + 1.5), fill=_shade(petal, light * 0.72))
        pen.ellipse((x - size, y - size, x + size - 2, y + size - 3), fill=_shade(petal, light))
    return head


def sunflower(rng: Random) -> Image.Image:
    """Return a large dark disk with two rings of pointed petals."""
    head, pen = _canvas()
    petal = _pick(rng, [(246, 190, 24), (240, 160, 24), (250, 214, 70), (170, 60, 30)], [5, 3, 2, 1])
    count = int(rng.integers(17, 30))
    for ring, light in ((1.0, 0.85), (0.88, 1.05)):
        _ring(pen, rng, _shade(petal, light), count, radius=REACH * ring, width=252 / count, tip=0.45)
    _disk(
        pen, rng, REACH * rng.uniform(0.34, 0.52), _pick(rng, [(74, 46, 24), (104, 66, 28), (120, 96, 40)], [4, 3, 2])
    )
    return head


def tulip(rng: Random) -> Image.Image:
    """Return a cup from the side, or six broad petals from above."""
    head, pen = _canvas()
    petal = _pick(
        rng,
        [(206, 30, 40), (242, 200, 50), (150, 50, 130), (238, 130, 160), (244, 236, 224), (236, 120, 40)],
        [4, 3, 2, 3, 2, 2],
    )
    if rng.random() < 0.2:
        _ring(pen, rng, petal, 6, radius=64, width=46, tip=0.6)
        _disk(pen, rng, 13, (60, 50, 40))
        return head
    slim = rng.uniform(0.75, 1.1)
    spread = rng.uniform(0.0, 0.35)
    for side, light in ((-0.62, 0.75), (0.62, 0.8), (-0.34, 0.92), (0.36, 0.96), (0.0, 1.08)):
        lean = side * (0.5 + spread)
        _petal(
            pen,
            (MIDDLE + side * 18 * slim, 125),
            np.pi * 1.5 + lean * 0.7,
            106 - 21 * abs(side),
            43 * slim,
            0.5,
            _shade(petal, light),
        )
    return head


HEADS: dict[str, Callable[[Random], Image.Image]] = {
    "daisy": daisy, "dandelion": dandelion, "rose": rose, "sunflower": sunflower, "tulip": tulip,
}  # fmt: skip
"""The function that draws a head, for each class."""


def _canvas() -> tuple[Image.Image, Pen]:
    head = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 0))
    return head, ImageDraw.Draw(head)


def _pick(rng: Random, colors: list[Color], weights: list[int]) -> Color:
    """Return one of ``colors``, slightly changed at random."""
    chances = np.array(weights) / sum(weights)
    color = np.array(colors[int(rng.choice(len(colors), p=chances))]) + rng.normal(0, 10, 3)
    return as_color(color)


def _shade(color: Color, light: float) -> Color:
    red, green, blue = (min(255, int(channel * light)) for channel in color)
    return red, green, blue


def as_color(values: NDArray[np.float64]) -> Color:
    """Return three numbers as a color, clipped to 0 to 255."""
    red, green, blue = np.clip(values, 0, 255).astype(int).tolist()
    return red, green, blue


def _ring(pen: Pen, rng: Random, color: Color, count: int, *, radius: float, width: float, tip: float) -> None:
    """Draw ``count`` petals around the middle."""
    turn = rng.uniform(0, 2 * np.pi)
    for number in range(count):
        angle = turn + 2 * np.pi * (number + rng.normal(0, 0.12)) / count
        length = radius * rng.uniform(0.88, 1.0)
        _petal(pen, (MIDDLE, MIDDLE), angle, length, width, tip, _shade(color, rng.uniform(0.86, 1.06)))


def _petal(
    pen: Pen, base: tuple[float, float], angle: float, length: float, width: float, tip: float, color: Color
) -> None:
    """Draw a petal with a darker rim and a vein; it is widest at the share ``tip`` of its length."""
    along = np.linspace(0, 1, 15)
    half = width / 2 * np.sin(np.pi * along ** (np.log(0.5) / np.log(tip))) ** 0.8
    ahead = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-ahead[1], ahead[0]])
    spine = np.array(base) + np.outer(along * length, ahead)
    rim = np.concatenate([spine + np.outer(half, across), (spine - np.outer(half, across))[::-1]])
    pen.polygon(rim.ravel().tolist(), fill=color, outline=_shade(color, 0.72))
    (x0, y0), (x1, y1) = spine[2].tolist(), spine[11].tolist()
    pen.line([(x0, y0), (x1, y1)], fill=_shade(color, 0.86))


def _disk(pen: Pen, rng: Random, radius: float, color: Color) -> None:
    """Draw the middle: a disk with seeds in spirals."""
    pen.ellipse((MIDDLE - radius, MIDDLE - radius, MIDDLE + radius, MIDDLE + radius), fill=_shade(color, 0.8))
    for seed in range(120):
        reach, angle = radius * 0.93 * np.sqrt(seed / 120), 2.39996 * seed
        x, y = MIDDLE + reach * np.cos(angle), MIDDLE + reach * np.sin(angle)
        size = 0.05 * radius + 0.8
        pen.ellipse((x - size, y - size, x + size, y + size), fill=_shade(color, rng.uniform(0.7, 1.4)))


def _seed_ball(head: Image.Image, pen: Pen, rng: Random) -> Image.Image:
    """Draw the white ball of a dandelion that has withered."""
    for _ in range(int(rng.integers(150, 230))):
        angle, reach = rng.uniform(0, 2 * np.pi), 64 * np.sqrt(rng.uniform(0.1, 1))
        x, y = MIDDLE + reach * np.cos(angle), MIDDLE + reach * np.sin(angle)
        light = int(rng.integers(190, 250))
        pen.line([(MIDDLE, MIDDLE), (x, y)], fill=(light, light, light, 120))
        for tuft in rng.uniform(0, 2 * np.pi, 5):
            pen.line([(x, y), (x + 5 * np.cos(tuft), y + 5 * np.sin(tuft))], fill=(light, light, light, 200))
    _disk(pen, rng, 8, (110, 90, 60))
    return head
