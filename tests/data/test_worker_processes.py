"""Other processes give the very pixels that threads give, and say what is wrong in the same words."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.odd_files import turned_pictures
from regraft.audit.photo_stats_store import DecodeWithStats
from regraft.data.augmentation import Augmentation
from regraft.data.loading.loader import decode_in_order
from regraft.data.loading.photo_task import LoadPhoto
from regraft.data.loading.reduced_photo import LoadReduced
from regraft.data.loading.worker_processes import WorkerProcesses, running_processes, start_processes, stop_processes
from regraft.data.manifest import Entry, scan
from regraft.data.preprocessing import Preprocessing
from regraft.data.source import find_photos
from regraft.errors import DecodeError

P = Preprocessing(24, 16)
A = Augmentation()
WORK = [
    LoadPhoto(P),
    LoadPhoto(P, mirrored=True),
    LoadPhoto(P, A, (3, 1)),
    LoadPhoto(P, A, ("view", 5)),
    DecodeWithStats(P),
    LoadReduced(20),
]


@pytest.fixture
def photos(tmp_path: Path) -> list[Entry]:
    turned_pictures(tmp_path, 6, "{} ä\udcff.jpg")
    return scan(find_photos(tmp_path), workers=2).usable


@pytest.fixture(scope="module")
def unbroken() -> Iterator[WorkerProcesses]:
    """Two processes that no test breaks."""
    processes = WorkerProcesses(2)
    yield processes
    processes.close()


@pytest.fixture
def two() -> Iterator[WorkerProcesses]:
    processes = WorkerProcesses(2)
    yield processes
    processes.close()


@pytest.mark.parametrize("work", WORK, ids=str)
def test_work_is_told_whole(work: LoadPhoto | DecodeWithStats | LoadReduced) -> None:
    assert type(work).from_dict(work.as_dict()) == work


@pytest.mark.parametrize("work", WORK, ids=["plain", "mirrored", "drawn", "numbered", "looking", "reduced"])
def test_pixels_are_those_of_this_process(
    work: LoadPhoto | DecodeWithStats | LoadReduced, photos: list[Entry], unbroken: WorkerProcesses
) -> None:
    for entry in photos:
        assert np.array_equal(unbroken.run(work, entry), work(entry))


def test_what_is_wrong_is_said_in_the_same_words(photos: list[Entry], two: WorkerProcesses, tmp_path: Path) -> None:
    cut, gone, changed = photos[:3]
    cut.path.write_bytes(cut.path.read_bytes()[:-200])
    gone.path.unlink()
    changed.path.write_bytes(changed.path.read_bytes() + b" ")
    cut.content = ""
    for entry in (cut, gone, changed):
        with pytest.raises(DecodeError) as here:
            LoadPhoto(P)(entry)
        with pytest.raises(DecodeError) as there:
            two.run(LoadPhoto(P), entry)
        assert str(there.value) == str(here.value)
    assert np.array_equal(two.run(LoadPhoto(P), photos[4]), LoadPhoto(P)(photos[4])), "a failure breaks nothing"


def test_large_photos_are_left_to_this_process(unbroken: WorkerProcesses, tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    Image.new("1", (8000, 5001)).save(file)
    entry = Entry("large.png", file, "", "")
    assert unbroken._all[0].request(LoadPhoto(P), entry) is None
    assert unbroken._all[0]._process is not None, "and go on"
    assert np.array_equal(unbroken.run(LoadPhoto(P), entry), LoadPhoto(P)(entry))


def test_a_process_that_was_killed_is_not_missed(photos: list[Entry], two: WorkerProcesses) -> None:
    victims = [process._process for process in two._all]
    for victim in victims:
        assert victim is not None
        os.kill(victim.pid, signal.SIGKILL)
    for entry in photos:
        assert np.array_equal(two.run(LoadPhoto(P), entry), LoadPhoto(P)(entry))


def test_an_interrupted_question_is_never_answered_by_the_next(
    photos: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = WorkerProcesses(1)
    try:
        process = processes._all[0]
        assert process._process is not None
        out = process._process.stdout

        class Interrupted:
            def readline(self) -> bytes:
                raise KeyboardInterrupt

            def close(self) -> None:
                assert out is not None
                out.close()

        process._process.stdout = Interrupted()  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            processes.run(LoadPhoto(P), photos[0])
        assert np.array_equal(processes.run(LoadPhoto(P), photos[1]), LoadPhoto(P)(photos[1]))
    finally:
        processes.close()


def test_batches_come_from_the_processes_that_have_begun(photos: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    load = LoadPhoto(P, A, (0, 0))
    expected = [load(entry) for entry in photos]
    asked: list[str] = []
    run = WorkerProcesses.run

    def counted(self: WorkerProcesses, work: LoadPhoto, entry: Entry) -> np.ndarray:
        asked.append(entry.name)
        return run(self, work, entry)

    monkeypatch.setattr(WorkerProcesses, "run", counted)
    begun = start_processes(2)
    assert begun is not None
    assert start_processes(3) is None, "another run's are used, and ended by the one who began them"
    try:
        found = np.concatenate([b.pixels for b in decode_in_order(photos, load, batch_size=5)])
    finally:
        stop_processes(begun)
    assert np.array_equal(found, np.stack(expected))
    assert sorted(asked) == sorted(entry.name for entry in photos)
    assert running_processes() is None
    list(decode_in_order(photos, load, batch_size=5))
    assert len(asked) == len(photos), "threads again"


@dataclass(frozen=True)
class Held(LoadPhoto):
    """Reports a question that another process was asked, and answers it there only when it is to end."""

    def __call__(self, entry: Entry) -> np.ndarray:
        parent, fifo = os.environ["REGRAFT_TEST_PARENT"].split(" ", 1)
        if os.getpid() != int(parent):
            Path(fifo).write_bytes(b"?")
            sys.stdin.buffer.read()  # returns when there are no more questions
        return super().__call__(entry)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the other process reports through a named pipe")
def test_processes_that_end_between_question_and_answer_are_not_missed(
    photos: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = tmp_path / "asked"
    os.mkfifo(fifo)
    reports = os.open(fifo, os.O_RDWR)
    monkeypatch.setenv("REGRAFT_TEST_PARENT", f"{os.getpid()} {fifo}")
    begun = start_processes(2)
    assert begun is not None
    ending = threading.Thread(target=lambda: (os.read(reports, 1), stop_processes(begun)))
    ending.start()
    expected = [LoadPhoto(P)(entry) for entry in photos]
    found = np.concatenate([b.pixels for b in decode_in_order(photos, Held(P), batch_size=4, workers=2)])
    ending.join()
    os.close(reports)
    assert np.array_equal(found, np.stack(expected))


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfd_open, of Linux")
def test_they_end_with_the_one_who_began_them_however_it_ends() -> None:
    code = """
        import os, signal
        from regraft.data.loading.worker_processes import start_processes, running_processes
        start_processes(2)
        print(*[process._process.pid for process in running_processes()._all], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            exited = os.pidfd_open(pid)  # readable once the process has ended, also if it is not a child
            try:
                assert select.select([exited], [], [], 60)[0], "the worker still runs"
            finally:
                os.close(exited)


def test_no_module_of_the_working_directory_is_run(
    photos: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(9)", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    processes = WorkerProcesses(1)
    try:
        result = processes._all[0].request(LoadPhoto(P), photos[0])
        assert result is not None and np.array_equal(result, LoadPhoto(P)(photos[0]))
    finally:
        processes.close()
