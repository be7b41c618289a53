"""Drawn flowers as a folder of images: daisies, dandelions, roses, sunflowers and tulips, without a download.

A picture is a function of its class, its plant and its shot. The plant decides colors, forms and place; a shot changes
the view a little. So the shots of a plant are like the photos of a series: a split that separates them measures an
accuracy that is too high.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from regraft.disk.atomic import atomic, make_folder
from regraft.randomness import fraction, generator
from regraft.sample.flower_heads import HEADS
from regraft.sample.garden import draw_garden, take_photo

CLASSES = tuple(HEADS)
SIDE = 128
"""Width and height of a picture in pixels."""


@dataclass(frozen=True)
class Flower:
    """One picture of a flower.

    Attributes:
        label: its class.
        plant: number of its plant among those of the class.
        shot: number of the picture of this plant, from 0.
        garden: number of the garden; another garden has other plants.
    """

    label: str
    plant: int
    shot: int
    garden: int

    @property
    def name(self) -> str:
        """Its path in the folder, such as ``"rose/plant043-1.jpg"``."""
        return f"{self.label}/plant{self.plant:03}-{self.shot}.jpg"

    def draw(self) -> Image.Image:
        """Return the picture, RGB, of `SIDE` x `SIDE` pixels."""
        key = (self.garden, self.label, self.plant)
        garden = draw_garden(HEADS[self.label], generator("plant", *key))
        return take_photo(garden, generator("light", *key), generator("shot", *key, self.shot), SIDE)


def draw_flowers(out: Path | str, *, plants: int = 40, shots: int = 1, garden: int = 0) -> int:
    """Draw a folder of flowers, one folder per class, and return the number of pictures; existing files stay.

    Args:
        out: the folder.
        plants: number of plants of each class.
        shots: number of pictures of each plant.
        garden: number of the garden; another garden has other plants.

    Example:
        >>> from regraft.sample.flowers import draw_flowers
        >>> draw_flowers("flowers", plants=2)
        10
    """
    flowers = list(_flowers(plants, shots, garden))
    for flower in flowers:
        save_flower(flower, Path(out) / flower.name)
    return len(flowers)


def unnamed_flowers(count: int, *, garden: int) -> dict[str, Flower]:
    """Return ``count`` flowers in a random order, under names such as ``"new-07.jpg"`` that do not tell the class."""
    flowers = _flowers(-(-count // len(CLASSES)), 1, garden)
    mixed = sorted(flowers, key=lambda flower: fraction("order of flowers", garden, flower.name))
    return {f"new-{number:02}.jpg": flower for number, flower in enumerate(mixed[:count])}


def save_flower(flower: Flower, file: Path) -> None:
    """Draw ``flower`` into ``file``, unless it exists."""
    if not file.exists():
        make_folder(file.parent)
        with atomic(file) as temporary:
            flower.draw().save(temporary, format="JPEG", quality=90)


def _flowers(plants: int, shots: int, garden: int) -> Iterator[Flower]:
    for label in CLASSES:
        for plant in range(plants):
            for shot in range(shots):
                yield Flower(label, plant, shot, garden)
