"""The user's own finished runs as evidence: one small file for each, in the cache folder.

A run counts if its classifier and the linear probe were measured on the same photos, which no choice had used. So
`linear-probe` itself never counts: there is nothing to compare.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from regraft.advice.evidence import Evidence
from regraft.advice.folder_figures import FolderFigures, smoothed_error
from regraft.advice.ways import WAYS, Way
from regraft.cache_dir import cache_folder
from regraft.disk.atomic import write_json

FOLDER = "runs"
"""Folder of these files in the cache folder."""

MAX_RUNS = 500
"""Maximum number of files; the oldest are deleted."""

MIN_TEST = 20
"""Minimum test photos of a run that counts."""


def folder_id(contents: Iterable[str]) -> str:
    """Return the id of a folder of photos: a hash of the smallest content hashes in it.

    A few photos more or less rarely change it, and it does not reveal the place of the folder.
    """
    smallest = sorted(set(contents))[:8]
    return "own " + hashlib.sha256(" ".join(smallest).encode()).hexdigest()[:16]


def way_of_run(metrics: Mapping[str, Any]) -> Way | None:
    """Return the way that a run took, from its ``metrics.json``; None if it is none that the advice compares."""
    training = metrics["training"]
    if metrics["chosen"] == "feature-extraction":
        return "feature extraction"
    if metrics["chosen"] != "fine-tune" or "share_of_fine_tuned" in training:
        return None
    trained = str(training.get("trained", ""))
    return "all blocks" if trained == "all blocks" else "upper blocks" if trained.startswith("upper ") else None


def record_run(metrics: Mapping[str, Any], contents: Iterable[str], seed: int) -> None:
    """Record a finished run, if it counts. If the disk is full, it is not recorded.

    Args:
        metrics: the content of its ``metrics.json``.
        contents: content hash of each photo of its folder.
        seed: its seed; another run of the same way, photos and seed replaces this one.
    """
    row = _row(metrics)
    if row is None:
        return
    folder = folder_id(contents)
    name = hashlib.sha256(json.dumps([folder, row["way"], row["photos"], seed]).encode()).hexdigest()[:24]
    with contextlib.suppress(OSError):
        (cache_folder() / FOLDER).mkdir(parents=True, exist_ok=True)
        write_json(cache_folder() / FOLDER / f"{name}.json", {"folder": folder, **row})
        for old in _files()[:-MAX_RUNS]:
            old.unlink()


def own_evidence() -> list[Evidence]:
    """Return the gains of the user's own runs; files that cannot be read are left out."""
    evidence = []
    for path in _files():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            evidence.append(_evidence(json.loads(path.read_text(encoding="utf-8"))))
    return evidence


def _files() -> list[Path]:
    """Return the files of the runs, the oldest first."""
    with contextlib.suppress(OSError):
        return sorted((cache_folder() / FOLDER).glob("*.json"), key=lambda path: path.stat().st_mtime)
    return []


def _row(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    way = way_of_run(metrics)
    photos = str(metrics["headline"]).partition("/")[2]
    measured = metrics["measured"]
    final, probe, folds = (
        measured.get(key) for key in (f"final/{photos}", f"linear-probe/{photos}", "linear-probe/out-of-fold")
    )
    if way is None or final is None or probe is None or folds is None or final["used_for_choosing"]:
        return None
    if final["n"] < MIN_TEST:
        return None
    return {
        "way": way,
        "photos": folds["n"],
        "classes": len(metrics["classes"]),
        "accuracy_out_of_fold": folds["figures"]["accuracy"]["value"],
        "log_loss_out_of_fold": folds["figures"]["log_loss"]["value"],
        "accuracy": final["figures"]["accuracy"]["value"],
        "accuracy_of_probe": probe["figures"]["accuracy"]["value"],
        "test": final["n"],
    }


def _evidence(row: Mapping[str, Any]) -> Evidence:
    photos, test = int(row["photos"]), int(row["test"])
    error = smoothed_error((1 - float(row["accuracy_out_of_fold"])) * photos, photos)
    figures = FolderFigures(
        photos=photos,
        classes=int(row["classes"]),
        error=error,
        error_deviation=(error * (1 - error) / photos) ** 0.5,
        log_loss=float(row["log_loss_out_of_fold"]),
    )
    (way,) = (way for way in WAYS if way == row["way"])
    gain = (float(row["accuracy"]) - float(row["accuracy_of_probe"])) / error
    return Evidence(str(row["folder"]), figures, way, gain, test)
