"""Kills of the server and of the trainer in turn, under an open page: no event is lost or shown twice."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from chromium import wait_until
from making_runs import make_run
from regraft.web.server import listen

KILLS = int(os.environ.get("REGRAFT_MONITOR_KILLS", "6"))

TRAINER = """
import sys, time
from pathlib import Path
from regraft.run.folder import RunFolder
from regraft.run.heartbeat import Heartbeat
from regraft.screen import QuietScreen

folder, enough = RunFolder(Path(sys.argv[1])), Path(sys.argv[2])
done = sum(event.get("event") == "epoch" for event in folder.journal.events())
folder.journal.add("resume", running_for=0.0)
with Heartbeat(folder.resume, QuietScreen()):
    while not enough.exists():
        done += 1
        folder.journal.add("epoch", stage="all blocks", epoch=done, loss=1 / done)
        time.sleep(0.1)
folder.journal.add("end", chosen="fine-tune", seconds=1)
"""


class Process:
    """A process that is killed and started again."""

    def __init__(self, *words):
        self._words = words
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, *map(str, self._words)], stdout=subprocess.DEVNULL)

    def kill(self):
        self.process.kill()
        self.process.wait()


def post_until_kept(address, ended, posts):
    """Post epoch after epoch, each again and again until the server has answered."""
    for epoch in itertools.count():
        body = json.dumps({"epoch": epoch, "loss": 1 / (1 + epoch)}).encode()
        while True:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(address + "/publish/epoch/end/", body, timeout=10),
            ):
                break
            if ended.is_set():
                return
            time.sleep(0.05)
        posts.append(epoch)
        if ended.is_set():
            return
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_event_is_lost_or_shown_twice(tmp_path, page):
    run, enough = make_run(tmp_path / "runs" / "a"), tmp_path / "enough"
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    address, ended, posts = f"http://127.0.0.1:{port}", threading.Event(), []
    server = Process("-m", "regraft", "monitor", tmp_path / "runs", "--port", port, "--idle", 120)
    trainer = Process("-c", TRAINER, run.path, enough)
    sender = threading.Thread(target=post_until_kept, args=(address, ended, posts))
    sender.start()
    try:
        while True:
            with contextlib.suppress(Exception):
                page.goto(address)
                break
        counts = "[...runs.values()].map(run => run.count).sort((a, b) => a - b)"
        for kill in range(KILLS):
            wait_until(page, "() => runs.size === 2")
            before = page.evaluate(counts)
            wait_until(page, f"before => {counts}.every((count, k) => count > before[k])", before)
            (server if kill % 2 else trainer).kill()
            (server if kill % 2 else trainer).start()
        wait_until(page, "() => runs.size === 2")
        enough.touch()
        trainer.process.wait()
        ended.set()
        sender.join()
        epochs = sum(event.get("event") == "epoch" for event in run.journal.events())
        expected = {"a": list(range(1, epochs + 1)), "remote-001": posts}
        same = "run => JSON.stringify(run.x) === JSON.stringify(expected[run.status.name])"
        wait_until(page, f"expected => [...runs.values()].every({same})", expected)
        assert page.evaluate(counts) == sorted([len(posts), epochs])
        assert min(epochs, len(posts)) > KILLS
    finally:
        ended.set()
        sender.join()
        server.kill()
        trainer.kill()
    page.goto("about:blank")
    page.errors.clear()  # the browser reports each lost connection
