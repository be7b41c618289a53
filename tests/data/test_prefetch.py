"""Rows that forks make are the same as those made here, or are not there; and no fork is left."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from regraft.data.loading.prefetch import Prefetcher, can_prefetch
from regraft.data.manifest import Entry
from regraft.errors import DecodeError
from regraft.process import cores

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or cores() < 2, reason="forks need a system and a core for them"
)
WIDTH = 5000


def entry(i: int) -> Entry:
    return Entry(f"{i}.jpg", Path(f"{i}.jpg"), f"{i:064}", "a")


def row_of(e: Entry) -> np.ndarray:
    return np.random.default_rng(int(e.content)).integers(0, 256, WIDTH, dtype=np.uint8)


def wait_for_the_forks(ahead: Prefetcher) -> None:
    """Wait until the forks have done all they can; who reaps them later is `Prefetcher`."""
    for fork in ahead._forks:
        os.waitid(os.P_PID, fork, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize("workers", [1, 8])
def test_every_row_is_the_one_that_is_made_here(workers):
    entries = [entry(i) for i in range(40)]
    ahead = Prefetcher(entries, row_of, WIDTH, workers=workers)
    try:
        wait_for_the_forks(ahead)
        for e in entries:
            found = ahead.take(e)
            assert found is not None and found.tobytes() == row_of(e).tobytes()
    finally:
        ahead.close()


def test_what_cannot_be_decoded_or_was_not_asked_for_is_not_there():
    def decode(e: Entry) -> np.ndarray:
        if e.content == entry(1).content:
            raise DecodeError("truncated")
        return row_of(e)

    ahead = Prefetcher([entry(i) for i in range(3)], decode, WIDTH, workers=1)
    try:
        wait_for_the_forks(ahead)
        assert ahead.take(entry(2)) is not None
        assert ahead.take(entry(1)) is None
        assert ahead.take(entry(7)) is None
    finally:
        ahead.close()
    assert ahead.take(entry(2)) is None


def test_a_photo_that_is_taken_too_early_is_left_to_who_took_it():
    gate, opens = os.pipe()

    def held_back(e: Entry) -> np.ndarray:
        os.read(gate, 1)
        return row_of(e)

    ahead = Prefetcher([entry(i) for i in range(3)], held_back, WIDTH, workers=1)
    try:
        assert ahead.take(entry(2)) is None
        os.write(opens, b"...")
        wait_for_the_forks(ahead)
        assert ahead.take(entry(1)) is not None
        assert ahead.take(entry(2)) is None
        assert os.read(gate, 1) == b"."  # nobody decoded it
    finally:
        ahead.close()
        os.close(gate)
        os.close(opens)


def test_a_damaged_row_is_not_there():
    ahead = Prefetcher([entry(0), entry(1)], row_of, WIDTH, workers=1)
    try:
        wait_for_the_forks(ahead)
        assert ahead.take(entry(1)) is not None
        rows = np.asarray(ahead._rows)
        rows.flags.writeable = True
        rows[0, 17] ^= 1
        assert ahead.take(entry(0)) is None
    finally:
        ahead.close()


def test_forks_end_with_it_whatever_they_do():
    ahead = Prefetcher([entry(0)], lambda _: signal.pause(), WIDTH, workers=1)
    (fork,) = ahead._forks
    ahead.close()
    with pytest.raises(ProcessLookupError):
        os.kill(fork, 0)


def test_nothing_to_do_needs_no_fork():
    ahead = Prefetcher([], row_of, WIDTH, workers=4)
    assert ahead._forks == [] and ahead.take(entry(0)) is None
    ahead.close()


def test_a_fork_whose_end_someone_else_took_note_of_is_no_error():
    ahead = Prefetcher([entry(0)], row_of, WIDTH, workers=1)
    (fork,) = ahead._forks
    os.waitpid(fork, 0)
    ahead.close()
    assert not ahead._forks


def test_where_no_further_fork_can_be_made_none_is_left(monkeypatch):
    made, fork = [], os.fork

    def few():
        if made:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        made.append(fork())
        return made[0]

    monkeypatch.setattr("regraft.data.loading.prefetch.cores", lambda: 3)
    monkeypatch.setattr(os, "fork", few)
    with pytest.raises(BlockingIOError, match="temporarily unavailable"):
        Prefetcher([entry(i) for i in range(4)], row_of, WIDTH, workers=2)
    with pytest.raises(ChildProcessError):
        os.waitpid(made[0], os.WNOHANG)


def test_signals_are_let_through_as_before():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    Prefetcher([entry(0)], row_of, WIDTH, workers=1).close()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_someone_elses_care_for_children_means_no_forks(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr("threading.active_count", lambda: 1)
    usual = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's DataLoader leaves a handler of its own
    try:
        assert can_prefetch()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        assert not can_prefetch()
    finally:
        signal.signal(signal.SIGCHLD, usual)
