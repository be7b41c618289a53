"""Hostile requests next to ordinary ones: no crash, bounded memory, and the ordinary ones get their answers."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from regraft.serve.limits import Limits
from regraft.web.connection import Bounds
from serve.conftest import photo, running
from serve.hostile_requests import Requests, send_all
from serve.test_same_bits import PHOTOS, ask, expected_of

LARGE = (2000, 1999)


def memory():
    """Return the resident memory of this process in megabytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
def test_hostile_requests_change_no_answer_of_others(model_file, capsys):
    limits = Limits(body=2_000_000, pixels=4_000_000, memory=50_000_000, read_seconds=0.5)
    made, expected = Requests(0, LARGE, pause=0.4), expected_of(model_file)
    requests = [made.request() for _ in range(600)]
    bounds = Bounds(connections=64, head_seconds=0.5, linger_seconds=0.5, as_json=True)
    with running(model_file, bounds, limits=limits, quiet=True) as (app, address):
        port, ended, wrong = int(address.rpartition(":")[2]), threading.Event(), []

        def ask_again_and_again():
            number = 0
            while not ended.is_set():
                number = (number + 1) % len(PHOTOS)
                if ask(address, [PHOTOS[number]]) != [expected[number]]:
                    wrong.append(number)

        others = threading.Thread(target=ask_again_and_again)
        others.start()
        before = memory()
        try:
            with ThreadPoolExecutor(1) as sender:  # in this thread, a browser may have a loop
                answers = sender.submit(lambda: asyncio.run(send_all(port, requests, at_a_time=16))).result()
        finally:
            ended.set()
            others.join()
        assert wrong == []
        while not app.is_finished:
            threading.Event().wait(0.01)
        assert app._memory.in_use == 0 and app._pipeline.unanswered == 0
        assert ask(address, [photo(1)])
    by_kind = {}
    for request, answer in zip(requests, answers, strict=True):
        by_kind.setdefault(request.kind, set()).add(answer)
    assert len(by_kind) == 8 and {status for found in by_kind.values() for status in found} <= {
        None, 100, 200, 400, 403, 404, 405, 408, 413, 415, 431, 429, 503
    }  # fmt: skip
    assert by_kind["bomb"] == {200, 413}  # a text of 50 MB is left out, all other bombs are refused
    assert memory() - before < 300
    assert capsys.readouterr().err == ""
