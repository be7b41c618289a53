"""Records of photos in the run folder, for the report: probabilities, nearest training photos, and thumbnails.

The photos may be moved or deleted after the training; the report then still shows those that matter most.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft.context.network_features import NetworkFeatures
from regraft.context.run_context import RunContext
from regraft.data.decode import read_photo
from regraft.data.decoding.rendering import Rendering
from regraft.data.loading.photo_task import read_verified
from regraft.data.manifest import Entry
from regraft.data.threads import map_in_order
from regraft.disk.atomic import atomic
from regraft.disk.csv_file import write_csv
from regraft.errors import DecodeError
from regraft.recipes.result import RecipeResult
from regraft.report.selection import MAX_CLASSES, NEIGHBORS, PredictedPhoto, mistakes_to_show, right_to_show

SIDE = 112
"""Longer side of a thumbnail in pixels."""

QUALITY = 65
MAX_BYTES = 1_500_000
"""Bytes of all thumbnails, so that a report with them stays below 3 MB."""

BLOCK = 1 << 16
"""Training photos whose features are in memory at once."""

MAX_NUMBERS = 8_000_000
"""Probabilities of more photos and classes than this are not stored: they would take over 64 MB."""


@dataclass(frozen=True)
class Predicted:
    """The photos behind the headline figure and their probabilities.

    Attributes:
        entries: the photos.
        probabilities: those of each photo, shape (n, k), float64.
    """

    entries: Sequence[Entry]
    probabilities: NDArray[np.float64]

    def rows(self, classes: Sequence[str]) -> list[PredictedPhoto]:
        """Return the rows of ``predictions.csv``."""
        index = {label: position for position, label in enumerate(classes)}
        rows = []
        for entry, p in zip(self.entries, self.probabilities, strict=True):
            best = int(np.argmax(p))
            rows.append(
                PredictedPhoto(entry.name, entry.label, classes[best], float(p[best]), float(p[index[entry.label]]))
            )
        return rows


def write_photo_records(context: RunContext, result: RecipeResult, predicted: Predicted) -> None:
    """Write ``probabilities.safetensors``, ``neighbors.csv`` and ``thumbnails.zip`` into the run folder.

    Raises:
        OSError: a file cannot be written.
    """
    _write_probabilities(context, predicted)
    entries = {entry.name: entry for entry in predicted.entries}
    rows = predicted.rows(context.dataset.classes)
    mistakes = [entries[row.path] for row in mistakes_to_show(rows)]
    pool = result.out_of_fold_photos if result.headline_out_of_fold else result.parts.train_and_validation
    neighbors = nearest_training_photos(context, mistakes, pool)
    _write_neighbors(context.folder.neighbors, neighbors)
    shown = [*_first_of_each_class(context), *_with_neighbors(neighbors)]
    shown += [entries[row.path] for row in right_to_show(rows)]
    rendering = context.backbone.spec.preprocessing.rendering
    write_thumbnails(context.folder.thumbnails, shown, rendering, context.workers)


def _write_probabilities(context: RunContext, predicted: Predicted) -> None:
    from safetensors.numpy import save_file

    if predicted.probabilities.size > MAX_NUMBERS:
        return
    units = context.dataset.units(predicted.entries)
    number = {unit: position for position, unit in enumerate(dict.fromkeys(units))}
    tensors = {
        "probabilities": np.ascontiguousarray(predicted.probabilities, dtype=np.float64),
        "unit": np.array([number[unit] for unit in units], dtype=np.int64),
    }
    with atomic(context.folder.probabilities) as temporary:
        save_file(tensors, temporary)


Neighbor = tuple[Entry, float]
"""A training photo, and the cosine similarity of its features."""


def nearest_training_photos(
    context: RunContext, photos: Sequence[Entry], pool: Sequence[Entry], count: int = NEIGHBORS
) -> list[tuple[Entry, list[Neighbor]]]:
    """Return the most similar photos of ``pool`` for each of ``photos``, by the frozen features of the first network.

    Args:
        context: the run.
        photos: the photos.
        pool: training photos; a photo is never a neighbor of itself.
        count: neighbors of each photo.
    """
    if not photos or not pool:
        return []
    features = context.features.first
    blocks = [(first, pool[first : first + BLOCK]) for first in range(0, len(pool), BLOCK)]
    mean = _mean([block for _, block in blocks], features)
    own = _unit(_table(photos, features) - mean)
    found: list[list[tuple[float, int]]] = [[] for _ in photos]
    for first, block in blocks:
        for best, row in zip(found, own @ _unit(_table(block, features) - mean).T, strict=True):
            nearest = np.argsort(-row, kind="stable")[: count + 1].tolist()
            best += [(-float(row[i]), first + i) for i in nearest]
    out = []
    for photo, best in zip(photos, found, strict=True):
        others = [(pool[i], -cosine) for cosine, i in sorted(best)[: count + 1] if pool[i].name != photo.name]
        out.append((photo, others[:count]))
    return out


def _mean(blocks: Sequence[Sequence[Entry]], features: NetworkFeatures) -> NDArray[np.float32]:
    """Return the mean of the features of all photos."""
    if len(blocks) == 1:
        mean: NDArray[np.float32] = _table(blocks[0], features).mean(axis=0)
        return mean
    total = sum(_table(block, features).sum(axis=0, dtype=np.float64) for block in blocks)
    return np.asarray(total / sum(map(len, blocks)), dtype=np.float32)


def _table(photos: Sequence[Entry], features: NetworkFeatures) -> NDArray[np.float32]:
    return np.asarray(features.of(photos), dtype=np.float32)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 0, length, 1.0)).astype(np.float32)


def _write_neighbors(path: Path, neighbors: Iterable[tuple[Entry, list[Neighbor]]]) -> None:
    rows = (
        (photo.name, other.name, other.label, f"{cosine:.3f}")
        for photo, others in neighbors
        for other, cosine in others
    )
    write_csv(path, [("path", "neighbor", "class", "similarity"), *rows])


def _first_of_each_class(context: RunContext) -> list[Entry]:
    first: dict[str, Entry] = {}
    for entry in context.dataset.usable:
        first.setdefault(entry.label, entry)
    return [first[label] for label in context.dataset.classes[:MAX_CLASSES] if label in first]


def _with_neighbors(neighbors: Iterable[tuple[Entry, list[Neighbor]]]) -> Iterator[Entry]:
    for photo, others in neighbors:
        yield photo
        yield from (other for other, _ in others)


def write_thumbnails(path: Path, entries: Iterable[Entry], rendering: Rendering, workers: int) -> None:
    """Write a ZIP of small JPEGs, named by the SHA-256 of the photo's bytes; photos that are gone are left out.

    Equal photos give equal bytes. Once `MAX_BYTES` are reached, further photos are left out.

    Args:
        path: the file.
        entries: the photos, the most important first.
        rendering: the white level of 16-bit gray, and the ground of transparent photos.
        workers: threads that decode.

    Raises:
        OSError: the file cannot be written.
    """
    by_content = {entry.content: entry for entry in entries if entry.content}
    left = MAX_BYTES
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as file:
        images = map_in_order(
            lambda entry: thumbnail(entry, rendering), list(by_content.values()), workers=workers, ahead=64
        )
        for content, image in zip(by_content, images, strict=True):
            if image and len(image) <= left:
                left -= len(image)
                file.writestr(
                    zipfile.ZipInfo(f"{content}.jpg"), image
                )  # of 1980, so that equal photos give equal bytes


def thumbnail(entry: Entry, rendering: Rendering) -> bytes:
    """Return a photo as a small JPEG; no bytes if it is gone, has changed, or cannot be decoded."""
    try:
        image = read_photo(read_verified(entry), at_least=(SIDE, SIDE), rendering=rendering)
    except DecodeError:
        return b""
    image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()
