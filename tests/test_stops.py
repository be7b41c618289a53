"""Requests to stop: the first one asks, the second one does not."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from regraft.interrupts import Stops, Terminated, TimeUp


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_first_signal_only_asks_where_it_is_deferred(number: int, kind: type[BaseException]) -> None:
    stops = Stops()
    with pytest.raises(kind), stops.deferred():
        signal.raise_signal(number)
        assert stops.asked is kind
        stops.raise_asked()
        pytest.fail("it was asked for")
    assert stops.asked is None
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


def test_a_second_signal_raises() -> None:
    stops = Stops()
    with pytest.raises(KeyboardInterrupt), stops.deferred():
        signal.raise_signal(signal.SIGTERM)
        assert stops.asked is Terminated
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it was asked for twice")


def test_a_request_that_nobody_looked_at_is_not_lost() -> None:
    stops = Stops()
    with pytest.raises(KeyboardInterrupt), stops.deferred():
        signal.raise_signal(signal.SIGINT)


def test_outside_it_raises_at_once() -> None:
    stops = Stops()
    with pytest.raises(Terminated), stops.heeded():
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it was asked for")


def test_a_clock_asks_as_a_signal_does() -> None:
    stops = Stops()
    with pytest.raises(TimeUp), stops.heeded(), stops.after(0.2), stops.deferred():
        while stops.asked is None:
            threading.Event().wait(0.01)
        assert stops.asked is TimeUp
        stops.raise_asked()
    with stops.after(None):
        pass


def test_a_handler_of_somebody_else_stays() -> None:
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        mine = signal.getsignal(signal.SIGTERM)
        with Stops().deferred():
            assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_command_line_leaves_at_once_though_something_hangs() -> None:
    program = """
import os, signal, threading
from regraft.cli import ending
from regraft.interrupts import STOPS
signal.signal(signal.SIGINT, signal.default_int_handler)
STOPS.leave = ending.leave
thread = threading.Thread(target=threading.Event().wait)  # a disk that does not answer
thread.start()
with STOPS.deferred():
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 130
    assert ended.stderr == "\nregraft: left at once\n"
