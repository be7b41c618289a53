"""Peak memory of a linear probe as the number of photos grows: `python benchmarks/many_photos.py [1000 10000]`.

Photos are generated, JPEGs of noise around a colour for each class, and seen at 64 px so that it takes minutes. The
features of a photo take 5 KiB (1,280 numbers in single precision) and its glance for the audit 4. Where they are many
they lie in files, so that what grows with their number is names, hashes and neighbours: 1 to 2 KiB a photo from 10,000
on. Below that, buffers fill up, and an engine comes in that is worth its set-up for many photos only.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from _peers import regraft
from PIL import Image


def main() -> None:
    """Make folders of each size, run the probe on each, and print peak memory and its growth a photo."""
    sizes = [int(text) for text in sys.argv[1:]] or [1000, 10000]
    peaks: list[float] = []
    for n in sizes:
        with tempfile.TemporaryDirectory() as place:
            make(Path(place), n)
            run = regraft(place, "--recipe", "linear-probe", "--size", "64")
            peaks.append(run.peak_mib)
            print(f"{n:,} photos: {run.peak_mib:.0f} MiB, {run.seconds:.0f} s", flush=True)
    for (a, b), (x, y) in zip(zip(sizes, sizes[1:], strict=False), zip(peaks, peaks[1:], strict=False), strict=True):
        print(f"{a:,} to {b:,}: {1024 * (y - x) / (b - a):.1f} KiB a photo, whose features take 5.0")


def make(out: Path, n: int, classes: int = 4) -> None:
    """Write ``n`` photos into ``classes`` folders below ``out``."""
    draw = np.random.default_rng(0)
    for i in range(n):
        label = i % classes
        folder = out / f"class {label}"
        folder.mkdir(exist_ok=True)
        colour = np.array([60 * label, 255 - 60 * label, 128])
        pixels = np.clip(colour + draw.normal(0, 60, (64, 64, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:06}.jpg", quality=85)


if __name__ == "__main__":
    main()
