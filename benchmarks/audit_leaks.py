"""How much near-copies flatter a random split, and a grouped one does not: `python benchmarks/audit_leaks.py PHOTOS`.

Of 1,000 photos, 300 get a near-copy. The linear probe is cross-validated (nested) over the clean photos, over all with
every file dealt to a fold by itself, and over all with what regraft finds to belong together kept together. Accuracies,
means over five deals of the folds, are compared photo by photo: on the clean photos, and on the 300 that have a copy.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path

import numpy as np
from _near_copies import KINDS, write_near_copy
from audit_injection import Bench

from regraft.audit.duplicates import detect_duplicates
from regraft.data.manifest import scan
from regraft.data.source import find_photos
from regraft.measure.intervals import mean_interval
from regraft.probe.linear_probe import fit_probe

PHOTOS, COPIES, DEALS = 1000, 300, 5


def main() -> None:
    """Run it and print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        unique = {entry.content: entry for entry in scan(find_photos(given.photos), workers=2).usable}
        chosen = draw.sample(sorted(unique.values(), key=lambda entry: entry.name), PHOTOS)
        for k, entry in enumerate(chosen):
            folder = root / entry.label
            folder.mkdir(exist_ok=True)
            (folder / f"{k:04}{entry.path.suffix}").symlink_to(entry.path.resolve())
            if k < COPIES:
                write_near_copy(entry.path, folder / f"{k:04} copy.jpg", list(KINDS)[k % len(KINDS)], draw)
        measure(Bench(root))


def measure(bench: Bench) -> None:
    """Compare the three cross-validations."""
    entries, names = bench.entries, sorted({entry.label for entry in bench.entries})
    y = np.array([names.index(entry.label) for entry in entries])
    copy = np.array([" copy" in entry.name for entry in entries])
    twin = np.array([int(entry.name.split("/")[1][:4]) < COPIES for entry in entries])
    groups = detect_duplicates(entries, bench.features, bench.photo_stats).groups
    grouped = [groups.get(entry.content, entry.content) for entry in entries]
    keys = [entry.content for entry in entries]

    def oof(rows: np.ndarray, by: list[str] | None, seed: int) -> np.ndarray:
        some = np.flatnonzero(rows)
        probe = fit_probe(
            bench.features[some],
            y[some],
            classes=len(names),
            keys=[keys[i] for i in some],
            groups=None if by is None else [by[i] for i in some],
            seed=seed,
        )
        assert probe.oof is not None
        out = np.full((len(y), len(names)), np.nan)
        out[some] = probe.oof
        return out

    everything = np.ones(len(y), dtype=bool)
    right: dict[str, list[np.ndarray]] = {"clean": [], "random": [], "grouped": []}
    for seed in range(DEALS):  # how the folds are dealt moves an accuracy by a point
        for name, rows, by in (
            ("clean", ~copy, grouped),
            ("random", everything, None),
            ("grouped", everything, grouped),
        ):
            right[name].append(oof(rows, by, seed).argmax(axis=1) == y)
    for which, rows in (("all clean photos", ~copy), ("those with a copy", ~copy & twin)):
        mean = {name: np.mean([deal[rows] for deal in deals], axis=0) for name, deals in right.items()}
        found: dict[str, object] = {name: round(float(values.mean()), 4) for name, values in mean.items()}
        for name in ("random", "grouped"):
            difference = mean[name] - mean["clean"]
            interval = mean_interval(difference, "leak", name)
            found[f"{name} - clean"] = [round(float(difference.mean()), 4), interval]
        print(json.dumps({"photos": which, "n": int(rows.sum()), **found}))


if __name__ == "__main__":
    main()
