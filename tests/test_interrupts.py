"""Interrupts: the first one is deferred, the second one is not."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from regraft.interrupts import Interrupts, Terminated, TimeUp


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_deferred_signal_is_pending_until_it_is_raised(number: int, kind: type[BaseException]) -> None:
    interrupts = Interrupts()
    with pytest.raises(kind), interrupts.deferred():
        signal.raise_signal(number)
        assert interrupts.pending is kind
        interrupts.raise_pending()
        pytest.fail("the pending interrupt was not raised")
    assert interrupts.pending is None
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


def test_a_second_signal_raises() -> None:
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt), interrupts.deferred():
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.pending is Terminated
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second interrupt was not raised")


def test_an_interrupt_that_the_block_does_not_check_is_raised_at_its_end() -> None:
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt), interrupts.deferred():
        signal.raise_signal(signal.SIGINT)


def test_outside_a_deferred_block_a_signal_raises_at_once() -> None:
    interrupts = Interrupts()
    with pytest.raises(Terminated), interrupts.handled():
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("the interrupt was not raised")


def test_a_timer_interrupts_as_a_signal_does() -> None:
    interrupts = Interrupts()
    with pytest.raises(TimeUp), interrupts.handled(), interrupts.deferred(), interrupts.after(0.01):
        while interrupts.pending is None:
            pass
        assert interrupts.pending is TimeUp
        interrupts.raise_pending()
    with interrupts.after(None):
        pass


def test_a_handler_of_other_code_stays() -> None:
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        other = signal.getsignal(signal.SIGTERM)
        with Interrupts().deferred():
            assert signal.getsignal(signal.SIGTERM) is other
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_command_line_exits_on_a_second_interrupt_although_a_thread_hangs() -> None:
    program = """
import os, signal, threading
from regraft.cli import exits
from regraft.interrupts import INTERRUPTS
signal.signal(signal.SIGINT, signal.default_int_handler)
INTERRUPTS.force_exit = exits.exit_now
thread = threading.Thread(target=threading.Event().wait)  # a disk that does not answer
thread.start()
with INTERRUPTS.deferred():
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 130
    assert ended.stderr == "\nregraft: stopped immediately\n"
