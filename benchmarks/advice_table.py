"""Figures of cuts, and ways with frozen features: `python benchmarks/advice_table.py PHOTOS OUT.csv [--folders …]`.

PHOTOS has the folders of `candidate_table.py`, whose cuts these are. For each cut: the linear probe with its learning
curve and its depth profile, and the ways that need frozen features only, measured on the test photos of the cut. Cuts
that OUT has are not measured again. `evidence.py` puts OUT into the table of evidence.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _synthetic_folders import KINDS, write_folder
from _ways import lay_out_balanced
from candidate_table import FOLDERS

from regraft.data.manifest import Entry, scan
from regraft.data.source import find_photos
from regraft.disk.row_table import leading_columns
from regraft.features.engines.engine_choice import choose_engine
from regraft.features.extract import extract
from regraft.features.stores.disk_store import DiskStore
from regraft.measure.metrics import log_losses
from regraft.models.backbone import Backbone
from regraft.models.zoo import build_backbone
from regraft.probe.depth_probe import fit_depth_probe
from regraft.probe.depth_profile import depth_profile
from regraft.probe.linear_probe import Probe, fit_probe
from regraft.probe.loss_curve import loss_curve

DEPTH_PHOTOS = 200
OTHER_NETWORK = "tf_efficientnet_lite2"
LARGER = 288
COLUMNS = (
    "folder", "photos_from", "kind", "classes", "photos", "photos_a_class", "seed", "error", "log_loss", "slope", "top",
    "lead", "added", "way", "network", "accuracy", "test_log_loss", "test", "seconds", "source",
)  # fmt: skip
SOURCE = "benchmarks/advice_table.py"


@dataclass(frozen=True)
class Features:
    """Features of the photos of a cut by three networks.

    Attributes:
        train: photos to train on.
        test: photos to test with.
        values: of each network, shape (n, d), training photos first; "depths" has those of all depths of the default.
        sizes: number of features of the top layer and of each lower block, in "depths".
        seconds: processor seconds of a photo's pass through each network; 0 if they were in the store.
    """

    train: Sequence[Entry]
    test: Sequence[Entry]
    values: Mapping[str, np.ndarray]
    sizes: tuple[int, ...]
    seconds: Mapping[str, float]


def main() -> None:
    """Measure the cuts that the table lacks, and add the rows of trained ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--folders", nargs="*", default=list(FOLDERS))
    parser.add_argument("--sizes", type=int, nargs="*", default=[2, 1, 0])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    given = parser.parse_args()
    networks = {
        "depths": build_backbone().with_pooled_depth(),
        "other": build_backbone(OTHER_NETWORK),
        "larger": build_backbone(size=LARGER),
    }
    for folder in given.folders:
        for seed in given.seeds:
            for size in given.sizes:
                per_class = FOLDERS[folder][3][size]
                if not any(_is_of(row, folder, per_class, seed) for row in read(given.out)):
                    write(given.out, measure(folder, per_class, seed, given.photos, networks))
                    print(folder, per_class, seed, round(time.process_time(), 1), flush=True)


def _is_of(row: Mapping[str, str], folder: str, per_class: int, seed: int) -> bool:
    return (row["folder"], row["photos_a_class"], row["seed"]) == (folder, str(per_class), str(seed))


def measure(
    folder: str, per_class: int, seed: int, photos: Path, networks: Mapping[str, Backbone]
) -> list[dict[str, Any]]:
    """Return the rows of one cut: a row for each way that needs frozen features only."""
    (place, inner), classes, test, sizes = FOLDERS[folder]
    with tempfile.TemporaryDirectory() as temporary:
        source = photos / place / inner
        if folder in KINDS:
            source = Path(temporary) / "rendered" / folder
            write_folder(folder, source, per_class=test // len(classes) + max(sizes) + 30, seed=7)
        cut = lay_out_balanced(source, classes, per_class, test, seed, Path(temporary) / "cut")
        names = {
            "folder": folder,
            "photos_from": place,
            "kind": "rendered" if folder in KINDS else "photos",
            "photos_a_class": per_class,
            "seed": seed,
        }
        return rows_of_cut(names, features_of(cut, networks))


def features_of(cut: Path, networks: Mapping[str, Backbone]) -> Features:
    """Return the features of the photos of ``cut/train`` and ``cut/val`` that every network can read."""
    entries = scan(find_photos(cut), workers=2).usable
    entries = sorted(entries, key=lambda entry: (entry.given_side != "train", entry.name))
    values, seconds, rows, store = {}, {}, np.arange(len(entries)), DiskStore(warn=print)
    for name, network in networks.items():
        began = time.process_time()
        engine = choose_engine(network, entries, store).engine_for(network)
        computed = extract(entries, network, engine, store)
        seconds[name] = (time.process_time() - began) / len(entries)
        values[name], rows = computed.values, computed.rows
    entries = [entries[row] for row in rows]
    spec = networks["depths"].spec
    return Features(
        [entry for entry in entries if entry.given_side == "train"],
        [entry for entry in entries if entry.given_side != "train"],
        values,
        (spec.top_features, *(2 * channels for channels in spec.pooled)),
        seconds,
    )


def rows_of_cut(names: Mapping[str, Any], features: Features) -> list[dict[str, Any]]:
    """Return a row for each way."""
    labels = sorted({entry.label for entry in features.train})
    y, y_test = (np.array([labels.index(e.label) for e in part]) for part in (features.train, features.test))
    keys, n = [entry.content for entry in features.train], len(features.train)
    more: dict[str, Any] = {"classes": len(labels), "keys": keys}
    every = features.values["depths"]
    top = leading_columns(every, features.sizes[0])
    tables = {
        "probe": (top, "depths"),
        "depth": (every, "depths"),
        "two networks": (np.concatenate([top, features.values["other"]], axis=1), "other"),
        "another network": (features.values["other"], "other"),
        "larger input": (features.values["larger"], "larger"),
    }
    facts: dict[str, Any] = {}
    rows = []
    for way, (X, network) in tables.items():
        began = time.process_time()
        probe = (
            fit_depth_probe(X[:n], y, sizes=features.sizes, **more) if way == "depth" else fit_probe(X[:n], y, **more)
        )
        spent = time.process_time() - began
        facts = facts or {**names, **figures_of(probe, top[:n], every[:n], features.sizes, y, more)}
        scored = probe.probabilities(X[n:, : probe.weight.shape[1]])
        accuracy, log_loss, test = measured(scored, y_test, np.bincount(y) / n)
        rows.append(
            {
                **facts,
                "way": way,
                "network": OTHER_NETWORK if network == "other" else "",
                "accuracy": f"{accuracy:.4f}",
                "test_log_loss": f"{log_loss:.4f}",
                "test": test,
                "seconds": f"{spent + n * features.seconds[network]:.1f}",
                "source": SOURCE,
            }
        )
    return rows


def measured(scored: np.ndarray, y: np.ndarray, shares: np.ndarray) -> tuple[float, float, int]:
    """Return accuracy, log-loss and effective number of test photos, with the shares of classes of the training."""
    weight = (shares / np.maximum(np.bincount(y, minlength=len(shares)) / len(y), 1e-9))[y]
    right, loss = scored.argmax(axis=1) == y, log_losses(scored, y)
    effective = weight.sum() ** 2 / (weight**2).sum()
    return float(np.average(right, weights=weight)), float(np.average(loss, weights=weight)), round(effective)


def figures_of(
    probe: Probe,
    top: np.ndarray,
    every: np.ndarray,
    sizes: Sequence[int],
    y: np.ndarray,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the figures of a folder, as `regraft advise` measures them."""
    curve = loss_curve(top, y, probe, **more)
    some = np.sort(np.random.default_rng(0).permutation(len(y))[:DEPTH_PHOTOS])
    parts = np.split(every[some], np.cumsum(sizes)[:-1], axis=1)
    keys = [more["keys"][row] for row in some]
    profile = depth_profile([*parts[1:], parts[0]], y[some], classes=more["classes"], keys=keys)
    assert probe.oof is not None
    wrong = int((probe.oof.argmax(axis=1) != y).sum())
    return {
        "classes": more["classes"],
        "photos": len(y),
        "error": f"{(wrong + 1) / (len(y) + 2):.4f}",
        "log_loss": f"{log_losses(probe.oof, y).mean():.4f}",
        "slope": "" if curve.slope is None else f"{curve.slope:.4f}",
        "top": f"{profile.top:.4f}",
        "lead": f"{profile.lead_of_top:.4f}",
        "added": f"{profile.added_by_lower:.4f}",
    }


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table; none if it is missing."""
    return list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []


def write(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to the table; those of the same cut, way and source are replaced."""
    names = ("folder", "photos_a_class", "seed", "way", "source")
    new = {tuple(str(row[name]) for name in names) for row in rows}
    table = [row for row in read(out) if tuple(row[name] for name in names) not in new]
    every = sorted([*table, *rows], key=lambda row: (row["folder"], int(row["photos_a_class"]), int(row["seed"])))
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(every)


if __name__ == "__main__":
    main()
