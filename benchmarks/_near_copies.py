"""Near-copies of photos, as they come about in people's folders; each is written as a JPEG."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

Draw = random.Random


def _encoded(image: Image.Image, draw: Draw) -> tuple[Image.Image, int]:
    return image, draw.randint(30, 90)


def _resized(image: Image.Image, draw: Draw) -> tuple[Image.Image, int]:
    share = draw.uniform(0.4, 1.5)
    size = (max(8, round(image.width * share)), max(8, round(image.height * share)))
    return image.resize(size, Image.Resampling.BICUBIC), 90


def _cropped(image: Image.Image, draw: Draw) -> tuple[Image.Image, int]:
    width, height = (round(side * draw.uniform(0.80, 0.95)) for side in image.size)
    left, top = draw.randint(0, image.width - width), draw.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height)), 90


def _lit(image: Image.Image, draw: Draw) -> tuple[Image.Image, int]:
    brighter = ImageEnhance.Brightness(image).enhance(draw.uniform(0.7, 1.35))
    return ImageEnhance.Contrast(brighter).enhance(draw.uniform(0.7, 1.35)), 90


def _mirrored(image: Image.Image, draw: Draw) -> tuple[Image.Image, int]:
    return ImageOps.mirror(image), 90


def _turned(image: Image.Image, draw: Draw) -> tuple[Image.Image, int]:
    angle = draw.choice([-1, 1]) * draw.uniform(1, 7)
    fill = draw.choice([(0, 0, 0), (255, 255, 255)])
    return image.rotate(angle, Image.Resampling.BICUBIC, expand=draw.random() < 0.5, fillcolor=fill), 90


def _bordered(image: Image.Image, draw: Draw) -> tuple[Image.Image, int]:
    width = round(min(image.size) * draw.uniform(0.03, 0.10))
    return ImageOps.expand(image, width, draw.choice([(0, 0, 0), (255, 255, 255), (200, 180, 150)])), 90


KINDS: dict[str, Callable[[Image.Image, Draw], tuple[Image.Image, int]]] = {
    "encoded": _encoded,
    "resized": _resized,
    "cropped": _cropped,
    "lit": _lit,
    "mirrored": _mirrored,
    "turned": _turned,
    "bordered": _bordered,
}


def write_near_copy(photo: Path, out: Path, kind: str, draw: Draw) -> None:
    """Write a near-copy of ``photo`` of one of `KINDS`."""
    with Image.open(photo) as opened:
        image, quality = KINDS[kind](ImageOps.exif_transpose(opened).convert("RGB"), draw)
    out.parent.mkdir(parents=True, exist_ok=True)
    image.save(out, "JPEG", quality=quality)
