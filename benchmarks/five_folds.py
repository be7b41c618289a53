"""Accuracy over the folds of a split, paired: `python benchmarks/five_folds.py SPLIT.csv PHOTOS [--peers PEERS]`.

SPLIT.csv has path,label,fold. Each fold in turn is the validation side, which no choice looks at.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from _peers import accuracy, peer, regraft


def main() -> None:
    """Run each recipe, and the peer where its folder is given, on each fold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--script", default="sceptic.py")
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--options", nargs="*", default=["recipe=fine-tune", "epochs=4"], help="of regraft train: k=v")
    given = parser.parse_args()
    rows = list(csv.DictReader(given.split.open(encoding="utf-8")))
    options = [part for option in given.options for part in (f"--{option.split('=')[0]}", option.split("=")[1])]
    table: list[dict[str, Any]] = []
    for fold in given.folds.split(","):
        with tempfile.TemporaryDirectory() as place:
            data = lay_out(rows, given.photos, fold, Path(place))
            run = regraft(str(data), *options)
            row = {"fold": fold, "final": accuracy(run.found), "seconds": run.seconds, "chosen": run.found["chosen"]}
            row["probe"] = accuracy(run.found, "linear-probe/validation")
            if given.peers:
                row["peer"] = peer(given.peers / given.script, str(data)).found["accuracy"]
            table.append(row)
            print(json.dumps(row), flush=True)
    for other in ("probe", "peer") if given.peers else ("probe",):
        _difference(f"final - {other}", [row["final"] - row[other] for row in table])
    if given.peers:
        _difference("probe - peer", [row["probe"] - row["peer"] for row in table])


def lay_out(rows: list[dict[str, str]], photos: Path, fold: str, out: Path) -> Path:
    """Link the photos of a fold into ``out/{train,val}/CLASS`` and return ``out``."""
    for row in rows:
        folder = out / ("val" if row["fold"] == fold else "train") / row["label"]
        folder.mkdir(parents=True, exist_ok=True)
        os.symlink((photos / row["path"]).resolve(), folder / Path(row["path"]).name)
    return out


def _difference(name: str, values: list[float]) -> None:
    mean = 100 * statistics.fmean(values)
    if len(values) < 2:
        print(f"{name}: {mean:+.2f} points")
        return
    from scipy.stats import t

    half = 100 * float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    print(
        f"{name}: {mean:+.2f} points, 95 % interval {mean - half:+.2f} to {mean + half:+.2f} over {len(values)} folds"
    )


if __name__ == "__main__":
    main()
