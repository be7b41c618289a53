"""What begins before torch is there changes nothing of the result."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from making import make_photos
from regraft.data.loading.prefetch import can_prefetch
from regraft.features.engines import machine_facts
from regraft.process import cores
from regraft.screen import QuietScreen
from regraft.workflows.train import train

TRAIN = """
import sys
import time
from regraft.data.loading import prefetch
from regraft.workflows.train import train
from regraft.screen import QuietScreen

taken = []
take = prefetch.Prefetcher.take
def counted(ahead, entry):
    row = take(ahead, entry)
    taken.append(row is not None)
    return row
prefetch.Prefetcher.take = counted
photos, out, backbone = sys.argv[1:]
train(photos, out=out, recipe="linear-probe", backbone=backbone, screen=QuietScreen())
print(sum(taken), len(taken))
"""


def test_nothing_is_forked_once_torch_is_there():
    import torch

    assert sys.modules["torch"] is torch and not can_prefetch()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux") or cores() < 2, reason="needs Linux and a spare core")
def test_a_run_that_reads_ahead_is_the_run_that_does_not(tmp_path, monkeypatch):
    photos = make_photos(tmp_path / "photos", {"ash": 12, "birch": 12}, size=300)
    (photos / "ash" / "torn.png").write_bytes((photos / "ash" / "photo 000.png").read_bytes()[:2000])
    found = {}
    for name, more in {"ahead": "", "plain": "import torch\n"}.items():
        cache = tmp_path / f"cache {name}"
        if name == "plain":  # trials of the network depend on no photo
            cache.mkdir()
            shutil.copy(tmp_path / "cache ahead" / machine_facts.FILE, cache)
        monkeypatch.setenv("REGRAFT_CACHE", str(cache))
        done = subprocess.run(
            [sys.executable, "-c", more + TRAIN, photos, tmp_path / name, "tf_efficientnet_lite0"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found[name] = done.stdout.strip()
    assert found["plain"] == "0 0" and found["ahead"].endswith(" 25") and not found["ahead"].startswith("0 ")
    one, other = (tmp_path / name / "model.safetensors" for name in ("ahead", "plain"))
    assert one.read_bytes() == other.read_bytes()
    sides = [(tmp_path / name / "manifest.csv").read_text(encoding="utf-8") for name in ("ahead", "plain")]
    assert sides[0] == sides[1] and "torn.png" in sides[0]
    assert json.loads((tmp_path / "ahead" / "metrics.json").read_text(encoding="utf-8"))


def test_the_budget_runs_from_before_the_photos_are_looked_at(tmp_path, monkeypatch):
    """Hashing many photos takes time that the person has given."""
    told = []

    class Slow:
        dataset = SimpleNamespace(manifest=None)

        def __init__(self, *_):
            told.append(time.time())

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    def run_training(config, screen, prepared, started, choice):
        told.append(started)

    monkeypatch.setattr("regraft.workflows.train.PreparedPhotos", Slow)
    monkeypatch.setattr("regraft.workflows.run_training.run_training", run_training)
    before = time.time()
    train(tmp_path, screen=QuietScreen())
    looked, started = told
    assert before <= started <= looked
