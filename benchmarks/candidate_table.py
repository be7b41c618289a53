"""Table of all ways on cuts of folders: `python benchmarks/candidate_table.py PHOTOS OUT [--sizes 0 1 2]`.

PHOTOS has the folders hymenoptera, flowers5, clothing10/train and textile3/train. OUT gets predictions of each
cut in ``candidates/``, and ``ways.csv`` with accuracy, log-loss and CPU seconds of each way. A cut whose file exists is
not measured again.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from pathlib import Path

import numpy as np
from _synthetic_folders import KINDS, write_folder
from _ways import cpu_seconds, lay_out_balanced, measure_ways

CLOTHING, FLOWERS = ("clothing10", "train"), ("flowers5", "")
FOLDERS: dict[str, tuple[tuple[str, str], tuple[str, ...], int, tuple[int, ...]]] = {
    "hymenoptera": (("hymenoptera", ""), ("ants", "bees"), 200, (10, 30, 80)),
    "flowers5": (FLOWERS, ("daisy", "dandelion", "rose", "sunflower", "tulip"), 500, (10, 30, 80)),
    "flowers2": (FLOWERS, ("rose", "tulip"), 500, (10, 30, 100)),
    "clothing10": (
        CLOTHING,
        ("dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"),
        500,
        (10, 20, 30),
    ),
    "clothing4": (CLOTHING, ("longsleeve", "outwear", "shirt", "t-shirt"), 500, (10, 30, 60)),
    "clothing3": (CLOTHING, ("dress", "pants", "shorts"), 500, (10, 30, 80)),
    "textile3": (("textile3", "train"), ("global", "local", "nominal"), 500, (10, 30, 80)),
    **{kind: ((kind, ""), tuple(f"{kind}{n}" for n in range(c)), 400, (10, 30, 60)) for kind, (_, c) in KINDS.items()},
}
"""Path below PHOTOS, classes, test photos, photos a class of the three sizes. Rendered folders are made."""

WAYS = ("probe", "depth", "two-networks", "feature-extraction", "upper-blocks", "all-blocks")
COLUMNS = (
    "folder", "kind", "classes", "photos", "photos_a_class", "way", "seed", "accuracy", "log_loss", "cpu_seconds",
    "test_photos",
)  # fmt: skip


def main() -> None:
    """Measure the cuts that OUT lacks, the small ones first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--folders", nargs="*", default=list(FOLDERS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--crossed", type=int, default=0, help="cross-validate fine-tuning up to this many photos")
    parser.add_argument("--per-class", type=int, help="photos a class in place of those of the sizes; frozen ways only")
    given = parser.parse_args()
    (given.out / "candidates").mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        for size in [0] if given.per_class else given.sizes:
            for folder in given.folders:
                per_class = given.per_class or FOLDERS[folder][3][size]
                path = given.out / "candidates" / f"{folder}-{per_class}-{seed}.npz"
                if not path.exists():
                    frozen = given.per_class is not None
                    _measure(folder, per_class, seed, given.photos, path, crossed=given.crossed, frozen=frozen)
                    _write_rows(given.out)


def _measure(folder: str, per_class: int, seed: int, photos: Path, path: Path, *, crossed: int, frozen: bool) -> None:
    (place, inner), classes, test, sizes = FOLDERS[folder]
    source = photos / place / inner
    if folder in KINDS:
        source = path.parent.parent / "rendered" / folder
        write_folder(folder, source, per_class=test // len(classes) + max(sizes) + 30, seed=7)
    before = cpu_seconds()
    with tempfile.TemporaryDirectory() as temporary:
        cut = lay_out_balanced(source, classes, per_class, test, seed, Path(temporary))
        side = 128 if folder in KINDS or "flowers" in folder else 224
        ways = measure_ways(cut, seed, whole_blocks=side == 128, crossed=crossed, frozen=frozen)
    ways.facts |= {
        "folder": folder,
        "kind": "rendered" if folder in KINDS else "photos",
        "per_class": per_class,
        "seed": seed,
        "cpu_seconds": round(cpu_seconds() - before, 1),
    }
    np.savez_compressed(path, facts=json.dumps(ways.facts), **ways.arrays)
    print(path.stem, ways.facts["cpu_seconds"], ways.facts["seconds"], flush=True)


def _write_rows(out: Path) -> None:
    """Write the rows of all cuts that were measured."""
    rows = []
    for path in sorted((out / "candidates").glob("*.npz")):
        with np.load(path) as file:
            facts, y = json.loads(str(file["facts"])), file["y_test"]
            for way in (way for way in WAYS if f"{way}_test" in file.files):
                p = file[f"{way}_test"]
                rows.append(
                    {
                        "folder": facts["folder"],
                        "kind": facts["kind"],
                        "classes": facts["classes"],
                        "photos": facts["refit"],
                        "photos_a_class": facts["per_class"],
                        "way": way,
                        "seed": facts["seed"],
                        "accuracy": round(float((p.argmax(axis=1) == y).mean()), 4),
                        "log_loss": round(float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)).mean()), 4),
                        "cpu_seconds": facts["seconds"][way],
                        "test_photos": len(y),
                    }
                )
    with (out / "ways.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
