"""One process at a time in a run folder; a lock dies with whoever held it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from making import make_photos

REPOSITORY = Path(__file__).resolve().parents[2]
CALLBACK = "reporter:Reporter"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as Unix has them")


REPORTER = """
from regraft.callbacks import Callback

class Reporter(Callback):
    def on_epoch_end(self, epoch, logs=None):
        print("epoch", epoch, flush=True)
"""


def start(photos: Path, tiny: dict[str, Any], folder: Path) -> subprocess.Popen[str]:
    """Start a training that prints the number of every finished epoch."""
    (folder / "reporter.py").write_text(REPORTER, encoding="utf-8")
    given = [word for name, value in tiny.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    fixed = ["--recipe", "fine-tune", "--snapshot-every", "0.05s", "--batch-size", "4", "--epochs", "5000"]
    return subprocess.Popen(
        [sys.executable, "-m", "regraft", "train", str(photos), "-o", "mine", *fixed, *given, "--callback", CALLBACK],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def next_epoch(process: subprocess.Popen[str]) -> int:
    """Return the number of the next epoch that the process finishes."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch "):
            return int(line.split()[1])
    raise AssertionError(process.communicate()[1])


@pytest.mark.slow
def test_the_second_refuses_and_after_a_kill_the_next_starts_at_once(tiny: dict[str, Any], tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", {"ant": 16, "bee": 16})
    first = start(photos, tiny, tmp_path)
    try:
        while next_epoch(first) < 2:
            pass
        second = start(photos, tiny, tmp_path)
        printed = second.communicate()[1]
        assert second.returncode == 2, printed
        assert f"mine is in use by another process (process {first.pid})" in printed
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    third = start(photos, tiny, tmp_path)
    try:
        assert next_epoch(third) > 0
        assert (tmp_path / "mine" / "events.jsonl").read_text().count('"resume"') == 1  # the second wrote nothing
    finally:
        third.send_signal(signal.SIGKILL)
        third.communicate()


def test_a_lock_in_one_process(tmp_path: Path) -> None:
    from regraft.errors import RunFolderError
    from regraft.run.lock import RunLock

    held = RunLock(tmp_path / "resume", tmp_path).take()
    with pytest.raises(RunFolderError, match=rf"another process \(process {os.getpid()}\)"):
        RunLock(tmp_path / "resume", tmp_path).take()
    held.release()
    RunLock(tmp_path / "resume", tmp_path).take().release()
