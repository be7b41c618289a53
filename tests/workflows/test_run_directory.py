"""One process at a time in a run folder; a lock dies with whoever held it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from making import make_photos

REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as Unix has them")


def started(photos: Path, tiny: dict[str, Any], where: Path, epochs: int) -> subprocess.Popen[str]:
    given = [word for name, value in tiny.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    fixed = ["--recipe", "fine-tune", "--snapshot-every", "0.05s", "--batch-size", "4", "--epochs", str(epochs)]
    return subprocess.Popen(
        [sys.executable, "-m", "regraft", "train", str(photos), "-o", "mine", *fixed, *given],
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, text: str, process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if path.exists() and text in path.read_text():
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    raise AssertionError(f"{text} did not come")


@pytest.mark.slow
def test_the_second_refuses_and_after_a_kill_the_next_starts_at_once(tiny: dict[str, Any], tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", {"ant": 16, "bee": 16})
    events = tmp_path / "mine" / "events.jsonl"
    first = started(photos, tiny, tmp_path, 5000)
    try:
        wait_for(events, '"epoch"', first)
        second = started(photos, tiny, tmp_path, 5000)
        said = second.communicate(timeout=120)[1]
        assert second.returncode == 2, said
        assert f"mine is in use by another process (process {first.pid})" in said
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    third = started(photos, tiny, tmp_path, 5000)
    try:
        wait_for(events, '"resume"', third)
        assert events.read_text().count('"resume"') == 1  # the second wrote nothing
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
