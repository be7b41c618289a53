"""Photos/s of fine-tuning from whole photos and from reduced ones: `python benchmarks/kept_pixels.py [--photos 32]`.

For photos of 128 px, 500 px, 1 and 12 megapixels, made in a temporary folder, it prints the time per photo of an epoch
of training views alone; of an epoch of training steps through all blocks of the default network; and of a view through
its lower blocks, as activations for the upper ones. Epochs alternate between the two sources. The first epoch of
reduced photos, which decodes them and writes them to the disk, is printed by itself.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from regraft.data.manifest import Entry

SIZES = ((170, 128), (500, 375), (1200, 900), (4000, 3000))


def main() -> None:
    """Print a table for each size of photo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    given = parser.parse_args()
    print("milliseconds per photo, of all processors | of the clock")
    print("photo        work             first   whole  reduced  ratio |  whole  reduced  ratio")
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            _measure(Path(folder), size, given.photos, given.repeat, given.batch_size)


def _measure(folder: Path, size: tuple[int, int], photos: int, repeat: int, batch_size: int) -> None:
    import torch

    from regraft.data.augmentation import Augmentation
    from regraft.data.loading.loader import PhotoBatches
    from regraft.data.loading.pixel_cache import PixelCache
    from regraft.data.loading.reduced_views import ReducedViews
    from regraft.features.activations import Activations
    from regraft.features.engines.engine import EagerEngine
    from regraft.features.stores.disk_store import DiskStore
    from regraft.models.classifier import Classifier
    from regraft.models.zoo import build_backbone
    from regraft.process import keep_freed_memory
    from regraft.training import Trainer

    keep_freed_memory()
    backbone = build_backbone()
    p, workers = backbone.spec.preprocessing, torch.get_num_threads()
    entries = [_saved(folder / f"{i}.jpg", size, i) for i in range(photos)]
    views = ReducedViews(PixelCache(p, DiskStore(folder / "pixels")), workers=workers)
    sources = [
        PhotoBatches(
            entries, [0] * photos, p, augmentation=Augmentation(), batch_size=batch_size, shuffle=True, workers=workers,
            reduced=reduced,
        )
        for reduced in (None, views)
    ]  # fmt: skip
    classifier = Classifier(backbone, ["a", "b"])
    classifier.to(memory_format=torch.channels_last)
    classifier.unfreeze("all")
    trainer = Trainer(classifier, optimizer=torch.optim.AdamW(classifier.parameters(), lr=1e-5), loss="cross_entropy")
    lower = build_backbone().lower(len(backbone.blocks) - 2)
    engine = EagerEngine(lower, batch_size=8)
    below = [Activations(lower, engine, None, workers=workers, reduced=reduced) for reduced in (None, views)]

    def load(k: int, epoch: int) -> None:
        for _ in sources[k].epoch(epoch):
            pass

    def train(k: int, epoch: int) -> None:
        for x, y in sources[k].epoch(epoch):
            trainer.train_on_batch(x, y)

    def fill(k: int, epoch: int) -> None:
        below[k].fill(entries, [2 + epoch % 8])

    title = f"{size[0]} × {size[1]}"
    for name, work in (("views", load), ("all blocks", train), ("lower blocks", fill)):
        _row(title, name, work, photos, repeat)


def _row(title: str, name: str, work: Callable[[int, int], None], photos: int, repeat: int) -> None:
    work(0, 0)
    first = _timed(lambda: work(1, 0))
    times = [[_timed(lambda k=k, turn=turn: work(k, 1 + turn)) for k in (0, 1)] for turn in range(repeat)]  # type: ignore[misc]
    text = f"{title:12} {name:14} {1000 * first[0] / photos:7.1f}"
    for unit in (0, 1):
        whole, reduced = (1000 / photos * statistics.median(turn[k][unit] for turn in times) for k in (0, 1))
        text += f" {whole:7.1f} {reduced:8.1f} {whole / reduced:6.2f} |"
    print(text, flush=True)


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds of all processors, and those of the clock."""
    used, begun = _cpu(), time.perf_counter()
    work()
    return _cpu() - used, time.perf_counter() - begun


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _saved(path: Path, size: tuple[int, int], seed: int) -> Entry:
    _photo(size, seed).save(path, quality=90)
    return Entry(path.name, path, hashlib.sha256(path.read_bytes()).hexdigest(), "a")


def _photo(size: tuple[int, int], seed: int) -> Image.Image:
    """Return waves under noise of two scales, whose JPEG is about as large as that of a photo."""
    rng = np.random.default_rng(seed)
    across, down = np.linspace(0, rng.uniform(20, 90), size[0]), np.linspace(0, rng.uniform(20, 90), size[1])
    waves = 127 + 70 * np.sin(across[None, :, None] + down[:, None, None] * np.array([1.0, 0.7, 0.4]))
    small = rng.integers(0, 80, (size[1] // 3 + 1, size[0] // 3 + 1, 3), dtype=np.uint8)
    coarse = np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC), dtype=np.float32) - 40
    return Image.fromarray((waves + coarse + rng.normal(0, 4, (size[1], size[0], 1))).clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
