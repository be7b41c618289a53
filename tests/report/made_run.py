"""Run folders made without a training: any classes, any number of photos, any mistakes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from regraft.measure.certified import certify
from regraft.measure.metrics import classification_report
from regraft.report.selection import PredictedPhoto, mistakes_to_show

PROMISES = (0.01, 0.02, 0.05, 0.1)


def make_run(folder: Path, classes, n=60, *, seed=0, wrong=0.15, history=True, thumbnails=True, **config) -> Path:
    """Write a run folder with ``n`` test photos and as many training photos, and return it."""
    folder.mkdir(parents=True)
    draw, k = np.random.default_rng(seed), len(classes)
    y = np.arange(n) % k
    guess = np.where(draw.uniform(size=n) < wrong, (y + 1) % k, y)
    p = draw.dirichlet(np.ones(k), n) * 0.3 + 0.7 * np.eye(k)[guess]
    names = [f"test/{classes[c]}/{i:05}.jpg" for i, c in enumerate(y)]
    training = [f"train/{classes[c]}/{i:05}.jpg" for i, c in enumerate(y)]
    figures = classification_report(p, y, classes)
    entry = {"model": "final", "photos": "test", "n": n, "used_for_choosing": False, "how": "", "figures": figures}
    weaker = np.where((np.arange(n) % 7 == 0)[:, None], np.roll(p, 1, axis=1), p)
    probe = {**entry, "model": "linear-probe", "figures": classification_report(weaker, y, classes)}
    random, grouped = (float((p.argmax(axis=1) == y)[first:].mean()) for first in (1, n // 3))
    metrics = {
        "format": 1, "recipe": "auto", "chosen": "fine-tune", "classes": list(classes), "headline": "final/test",
        "training": {"photos": n, "trained": "upper blocks", "choices": [
            {"kept": "upper blocks", "discarded": "linear probe", "expected_points": 1.2,
             "expected_interval": [0.1, 2.4], "photos": 20}]},
        "measured": {"final/test": entry, "linear-probe/test": probe},
        "reject": {"photos": "test", "max_error": 0.1,
                   "thresholds": [certify(p.max(axis=1), p.argmax(axis=1) == y, e).as_dict() for e in PROMISES]},
        "learning_curve": curve(classes, n),
        "naive_split": {"random": {"value": random}, "grouped": {"value": grouped}, "n": n,
                        "difference": {"value": 0.0, "n": n, "interval": [-0.01, 0.02]}},
    }  # fmt: skip
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "config.json", {"format": 1, "photos": "/data/my photos", "recipe": "auto", **config})
    write_json(folder / "environment.json", {"format": 1, "python": "3.11", "packages": {"regraft": "0.1"}})
    blocks = [ledger("stem", "a", "a", 0.0), ledger("blocks.1", "a", "b", 0.031), ledger("head", "a", "b", None)]
    write_json(folder / "freeze.json", {"format": 1, "blocks": blocks})
    manifest = [["path", "content", "class", "split", "group", "status", "why"]]
    manifest += [[name, digest(name), classes[c], "train", "", "ok", ""] for name, c in zip(training, y, strict=True)]
    manifest += [[name, digest(name), classes[c], "test", "", "ok", ""] for name, c in zip(names, y, strict=True)]
    manifest.append(["train/broken.jpg", "", classes[0], "", "", "put aside", "its header is damaged"])
    write_csv(folder / "manifest.csv", manifest)
    rows = [["path", "split", "class", "predicted", "probability", "probability_of_class"]]
    for name, c, row in zip(names, y, p, strict=True):
        best = int(row.argmax())
        rows.append([name, "test", classes[c], classes[best], f"{row[best]:.6f}", f"{row[c]:.6f}"])
    write_csv(folder / "predictions.csv", rows)
    save_file({"probabilities": p, "unit": np.arange(n)}, folder / "probabilities.safetensors")
    photos = [PredictedPhoto(*row[:1], *row[2:4], float(row[4]), float(row[5])) for row in rows[1:]]
    mistakes = [names.index(photo.path) for photo in mistakes_to_show(photos)]
    near = [[names[i], training[(i + j) % n], classes[y[(i + j) % n]], "0.8"] for i in mistakes for j in range(3)]
    write_csv(folder / "neighbors.csv", [["path", "neighbor", "class", "similarity"], *near])
    if thumbnails:
        write_thumbnails(
            folder / "thumbnails.zip", [*training[:k], *(names[i] for i in mistakes), *(row[1] for row in near), *names]
        )
    write_events(folder, history=history)
    return folder


def curve(classes, n):
    points = [
        {"share": s, "training": max(k + 1, int(s * n)),
         "accuracy": {"value": 0.8 + 0.04 * k, "n": n, "interval": [0.7 + 0.04 * k, 0.85 + 0.04 * k]}}
        for k, s in enumerate((0.25, 0.5, 1))
    ]  # fmt: skip
    gains = [{"value": v, "n": n, "interval": [v - 0.011, v + 0.012]} for v in 0.015 - 0.001 * np.arange(len(classes))]
    of_classes = [{"label": label, "training": 10 + i, "recall": gains[i]} for i, label in enumerate(classes)]
    return {"how": "", "photos": "test", "n": n, "points": points, "more": 50, "gains": of_classes}


def ledger(block, before, after, change):
    return {"block": block, "parameters": 100, "trainable": before != after, "normalisation": "none",
            "learning_rate": None, "before": before, "after": after, "relative_change": change}  # fmt: skip


def write_events(folder, *, history):
    events = [{"event": "start", "time": 100.0, "running_for": 2.0},
              {"event": "features", "time": 110.0, "photos": 120, "from_store": 20},
              {"event": "copies", "time": 111.0, "files": 1, "pixels": 0, "near_copies": 2, "groups": 3},
              {"event": "probe", "time": 112.0}]  # fmt: skip
    if history:
        rows = [["stage", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]]
        for number, stage in enumerate(("upper blocks", "all blocks")):
            for epoch in (1, 2, 3):
                time = 112.0 + 10 * number + 3 * epoch
                events.append({"event": "epoch", "time": time, "stage": stage, "epoch": epoch})
                rows.append([stage, epoch, 0.5 / epoch, 0.9, 0.6 / epoch, 0.85, 1e-4 / epoch])
            events.append({"event": "best epoch", "time": 122.0 + 10 * number, "stage": stage, "epoch": 2, "of": 3,
                           "stop_reason": None})  # fmt: skip
        write_csv(folder / "history.csv", rows)
    events.append({"event": "end", "time": 140.0, "chosen": "fine-tune", "seconds": 42.0})
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def write_thumbnails(file, names):
    draw = np.random.default_rng(1)
    with zipfile.ZipFile(file, "w") as out:
        left = 1_500_000
        for name in dict.fromkeys(names):
            image = io.BytesIO()
            pixels = draw.integers(0, 255, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((112, 84), Image.Resampling.BICUBIC).save(image, "JPEG", quality=65)
            left -= len(image.getvalue())
            if left < 0:
                break
            out.writestr(zipfile.ZipInfo(f"{digest(name)}.jpg"), image.getvalue())


def digest(name):
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def write_json(file, value):
    file.write_text(json.dumps(value), encoding="utf-8")


def write_csv(file, rows):
    with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows(rows)
