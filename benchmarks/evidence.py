"""Measured gains of fine-tuning for `evidence.csv`: `python benchmarks/evidence.py PHOTOS OUT.csv [--sizes 80 160]`.

PHOTOS has the folders hymenoptera, flowers5, clothing10/train and textile3/train; rendered folders are made here.
`auto` trains its first rung on each cut, and its candidates are measured on photos that no choice has used. Cuts whose
predictions are in `--predictions FOLDER` are not trained again; `choice_regret.py` reads them too. Rows of OUT.csv from
another source than this script stay.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _candidates import Cut, load, measure, save
from _synthetic_folders import KINDS, write_folder

from regraft.recipes.steps.mixing import USUAL_SHARE

SOURCE = "benchmarks/evidence.py"
COLUMNS = (
    "folder", "kind", "step", "classes", "photos", "seed", "error", "log_loss", "accuracy_before", "accuracy_after",
    "log_loss_before", "log_loss_after", "accuracy_error", "log_loss_error", "test", "seconds", "source",
)  # fmt: skip
PHOTOS = {"hymenoptera": "", "flowers5": "", "clothing10": "train", "textile3": "train"}
TEST = 240


def main() -> None:
    """Measure the cuts that the table lacks, and write it after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--predictions", type=Path, default=Path(tempfile.gettempdir()) / "regraft-evidence")
    parser.add_argument("--sizes", type=int, nargs="*", default=[160, 80])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="of the upper blocks; the recipe's own number without it")
    parser.add_argument("--only-stored", action="store_true", help="measure nothing; read the stored predictions")
    given = parser.parse_args()
    given.predictions.mkdir(parents=True, exist_ok=True)
    table = list(csv.DictReader(given.out.open(encoding="utf-8"))) if given.out.exists() else []
    rows = [row for row in table if row["source"] != SOURCE]
    if not given.only_stored:
        for cut in [Cut(f, n, TEST, s) for s in range(given.seeds) for n in given.sizes for f in (*PHOTOS, *KINDS)]:
            path = given.predictions / f"{cut.name}.npz"
            if not path.exists():
                options = {} if given.epochs is None else {"epochs": given.epochs}
                with tempfile.TemporaryDirectory() as place:
                    save(measure(source(cut.folder, given.photos, Path(place)), cut, seed=cut.seed, **options), path)
    for path in sorted(given.predictions.glob("*.npz")):
        rows += rows_of(path)
    with given.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def source(folder: str, photos: Path, place: Path) -> Path:
    """Return the folder of the photos of all classes; a rendered one is made in ``place``."""
    if folder in KINDS:
        return write_folder(folder, place / folder, per_class=150, seed=7)
    return photos / folder / PHOTOS[folder]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of one cut, from the stored predictions of its candidates."""
    arrays, facts = load(path)
    folder, _, seed = path.stem.rsplit("-", 2)
    y, oof, y_oof = arrays["y_test"], arrays["oof"], arrays["y_oof"]
    candidates = [arrays["test_refit"], *(arrays[f"test_{i}"] for i in range(1, len(facts["titles"])))]
    steps = list(zip(("fine-tuning", "all blocks"), candidates, candidates[1:], strict=False))
    steps.append(("mixing", candidates[-1], (1 - USUAL_SHARE) * candidates[0] + USUAL_SHARE * candidates[-1]))
    rows = []
    for step, before, after in steps:
        right = [p.argmax(axis=1) == y for p in (before, after)]
        loss = [-np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)) for p in (before, after)]
        error, log_loss = (1 - right[0].mean(), loss[0].mean())
        if step != "all blocks":
            wrong = (oof.argmax(axis=1) != y_oof).sum()
            error = (wrong + 1) / (len(y_oof) + 2)
            log_loss = -np.log(np.maximum(oof[np.arange(len(y_oof)), y_oof], 1e-12)).mean()
        else:
            error = (error * len(y) + 1) / (len(y) + 2)
        values: dict[str, Any] = {
            "error": error,
            "log_loss": log_loss,
            "accuracy_before": right[0].mean(),
            "accuracy_after": right[1].mean(),
            "log_loss_before": loss[0].mean(),
            "log_loss_after": loss[1].mean(),
            "accuracy_error": max((right[1].astype(float) - right[0]).std() / len(y) ** 0.5, 1 / len(y)),
            "log_loss_error": (loss[0] - loss[1]).std() / len(y) ** 0.5,
        }
        rows.append(
            {
                "folder": folder,
                "kind": "rendered" if folder in KINDS else "photos",
                "step": step,
                "classes": facts["classes"],
                "photos": facts["train"],
                "seed": seed,
                **{key: f"{value:.4f}" for key, value in values.items()},
                "test": len(y),
                "seconds": f"{facts['cpu_seconds']:.0f}",
                "source": SOURCE,
            }
        )
    return rows


if __name__ == "__main__":
    main()
