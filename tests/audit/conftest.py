"""Photos with enough in them to be told apart, and a subject made of them without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from regraft.audit.duplicates import Duplicates, detect_duplicates
from regraft.audit.photo_stats import PhotoStats, decode_with_stats
from regraft.audit.subject import Subject
from regraft.data.manifest import Entry, Manifest, scan
from regraft.data.preprocessing import Preprocessing
from regraft.data.source import find_photos

P = Preprocessing(64, 64, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 1.0, "center")


def scene(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """Return a picture of random soft blobs and sharp boxes; every seed is another picture."""
    draw = np.random.default_rng(seed)
    small = Image.fromarray(draw.integers(0, 255, (12, 16, 3), dtype=np.uint8))
    image = small.resize(size, Image.Resampling.BICUBIC)
    for _ in range(25):
        x, y = int(draw.integers(0, size[0] - 20)), int(draw.integers(0, size[1] - 20))
        box = (x, y, x + int(draw.integers(5, 60)), y + int(draw.integers(5, 60)))
        image.paste(tuple(int(c) for c in draw.integers(0, 255, 3)), box)
    return image


def save(image: Image.Image, path: Path, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def features_of(photo_stats: list[PhotoStats]) -> np.ndarray:
    """Return features that mirroring does not change much, as a network's: colour and the spectrum of the gray."""
    rows = []
    for stats in photo_stats:
        gray = np.asarray(Image.fromarray(stats.gray).resize((16, 16), Image.Resampling.BOX), dtype=np.float64)
        both = gray + gray[:, ::-1]
        rows.append(np.concatenate([(both - both.mean()).ravel() / (both.std() + 1), np.array(stats.mean_color) / 64]))
    return np.array(rows, dtype=np.float32)


def with_stats(root: Path) -> tuple[Manifest, list[Entry], list[PhotoStats]]:
    manifest = scan(find_photos(root), workers=0)
    photo_stats = []
    for entry in list(manifest.usable):
        try:
            photo_stats.append(decode_with_stats(entry, P)[1])
        except Exception as error:  # noqa: BLE001
            manifest.set_aside(entry, str(error))
    return manifest, manifest.usable, photo_stats


def subject_of(root: Path, probabilities: np.ndarray | None = None, **more) -> Subject:
    manifest, entries, photo_stats = with_stats(root)
    features = features_of(photo_stats)
    copies = detect_duplicates(entries, features, photo_stats, workers=0)
    names = sorted({entry.label for entry in manifest.entries if entry.label})
    return Subject(manifest, names, entries, photo_stats, features, copies, probabilities, **more)


def no_copies(entries: list[Entry]) -> Duplicates:
    from regraft.audit.near_duplicates import NO_NEAR_DUPLICATES

    return Duplicates(entries, (), (), NO_NEAR_DUPLICATES)
