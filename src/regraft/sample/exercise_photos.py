"""The photos of the exercise: five kinds of flowers in folders, and new ones whose names do not tell their class."""

from __future__ import annotations

from pathlib import Path

from regraft.sample.flowers import draw_flowers, save_flower, unnamed_flowers

PLANTS = 50
GARDEN, NEW_GARDEN = 6, 60
NEW_PHOTOS = 60
NEW_FOLDER = "new flowers"


def draw_exercise(folder: Path | str = ".", *, plants: int = PLANTS) -> Path:
    """Draw the photos of the exercise into ``folder``, and return the folder with one folder per class.

    Args:
        folder: where ``flowers/`` and ``new flowers/`` appear.
        plants: number of photos of each class.
    """
    draw_flowers(Path(folder) / "flowers", plants=plants, garden=GARDEN)
    for name, flower in unnamed_flowers(NEW_PHOTOS, garden=NEW_GARDEN).items():
        save_flower(flower, Path(folder) / NEW_FOLDER / name)
    return Path(folder) / "flowers"


def new_labels() -> dict[str, str]:
    """Return the class of each photo in ``new flowers/``, by its name."""
    return {name: flower.label for name, flower in unnamed_flowers(NEW_PHOTOS, garden=NEW_GARDEN).items()}
