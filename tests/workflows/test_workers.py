"""A run on several processes: its options, its folder in processes that follow, and the model that it ends with."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch

import regraft as rg
from distributed.forked import forked
from making import make_photos
from regraft.context.config import resolve
from regraft.data.augmentation import Augmentation
from regraft.data.loading.loader import PhotoBatches
from regraft.distributed.shards import Sharding, shards_for_photos
from regraft.distributed.world import Alone, together
from regraft.errors import ConfigError
from regraft.run.folder import RunFolder
from regraft.run.lock import RunLock
from regraft.screen import QuietScreen
from regraft.workflows.steps.run_directory import RunDirectory
from regraft.workflows.steps.workers import configured_for_workers, directory_of_workers


def launch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)


def test_torchrun_refuses_choices_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = resolve(None, photos="photos", recipe="auto", budget="5m")
    assert configured_for_workers(timed) == timed
    launch(monkeypatch)
    with pytest.raises(ConfigError, match=r"torchrun cannot be used with(.|\n)*auto(.|\n)*--budget"):
        configured_for_workers(timed)
    fresh = resolve(None, photos="photos", recipe="fine-tune", fresh=True)
    assert configured_for_workers(fresh).shards == 8
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    with pytest.raises(ConfigError, match="--fresh would start a new run at every restart"):
        configured_for_workers(fresh)
    assert configured_for_workers(resolve(None, photos="photos", recipe="fine-tune", shards=4)).shards == 4


def test_batches_of_small_photos_have_fewer_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch)
    small = resolve(None, photos="photos", recipe="fine-tune", size=64)
    assert configured_for_workers(small).shards == shards_for_photos(32, 64) < 8
    large = resolve(None, photos="photos", recipe="fine-tune", size=64, batch_size=256)
    assert configured_for_workers(large).shards == 8


@contextmanager
def opened(path: Path):
    folder = RunFolder(path)
    folder.resume.mkdir(parents=True, exist_ok=True)
    folder.config.write_text("{}")
    yield RunDirectory(folder, True, RunLock(folder.resume, folder.path).take())


def places(path: Path) -> list[object]:
    with together(), directory_of_workers(opened(path), None) as directory:
        folder = directory.folder
        folder.history.write_text(os.environ["RANK"])
        return [str(folder.path), directory.resumed, folder.config.read_text(), folder.history.read_text()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes of this test are forks")
def test_processes_that_follow_write_to_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    first, second = forked(2, tmp_path / "out", lambda: places(tmp_path / "run"))
    assert first == [str(tmp_path / "run"), True, "{}", "0"]
    assert second[1:] == [True, "{}", "1"]
    assert not Path(second[0]).exists()
    assert (tmp_path / "run" / "history.csv").read_text() == "0"


def test_each_process_decodes_its_rows_alone(photos: Path) -> None:
    entries = rg.ImageFolder(photos, network=None, check=False, screen=QuietScreen()).entries
    preprocessing = rg.Preprocessing(height=16, width=16, interpolation="bilinear", mean=(0,) * 3, std=(1,) * 3)
    batches = PhotoBatches(
        entries, [0] * len(entries), preprocessing, augmentation=Augmentation(), batch_size=10, shuffle=True, workers=0
    )
    whole = list(batches.epoch(3, 1))
    bounds = [Sharding().bounds(Alone(rank, 3)) for rank in range(3)]
    parts = [list(batches.epoch_part(3, 1, own)) for own in bounds]
    assert len(whole) > 1
    for number, (x, y) in enumerate(whole):
        own = [part[number] for part in parts]
        assert {part.size for part in own} == {len(y)}
        got = [part.batch for part in own if part.batch is not None]
        assert torch.equal(torch.cat([one for one, _ in got]), x)
        assert torch.equal(torch.cat([labels for _, labels in got]), y)


def run(folder: Path, size: int, options: list[str], **more: str) -> subprocess.Popen[bytes]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts", "5"]
    program = [sys.executable] if size == 1 else [*torchrun, "--nproc-per-node", str(size)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "REGRAFT_CACHE": str(folder / "cache"), **more}
    return subprocess.Popen(
        [*program, "-m", "regraft", "train", *options, "--shards", "8"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="it reads the children of a process in /proc")
@pytest.mark.parametrize("recipe", ["feature-extraction", "fine-tune"])
def test_torchrun_ends_with_the_model_of_one_process(recipe: str, tiny: dict[str, object], tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", {"ant": 30, "bee": 33})
    options = ["photos", "--recipe", recipe, "--epochs", "3", "--batch-size", "16", "--precision", "fp32"]
    options += [f"--{name}={value}" for name, value in tiny.items()] + ["--snapshot-every", "0.01s"]
    assert run(tmp_path, 1, [*options, "-o", "one"]).wait() == 0
    two = run(tmp_path, 2, [*options, "-o", "two"])
    journal = tmp_path / "two" / "events.jsonl"
    while two.poll() is None and not (journal.exists() and '"epoch"' in journal.read_text()):
        with suppress(subprocess.TimeoutExpired):
            two.wait(0.05)
    children = Path(f"/proc/{two.pid}/task/{two.pid}/children").read_text().split()
    if children:
        os.kill(int(children[-1]), signal.SIGKILL)
    assert two.wait() == 0
    sums = [hashlib.sha256((tmp_path / name / "model.safetensors").read_bytes()).hexdigest() for name in ("one", "two")]
    assert sums[0] == sums[1]
