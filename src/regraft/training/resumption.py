"""When a ``fit`` takes a snapshot, when it goes on from one, and when it stops because somebody asked it to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from regraft.errors import TrainingError
from regraft.interrupts import INTERRUPTS
from regraft.training.snapshots import Snapshots
from regraft.training.state import TrainingState


class Resumption:
    """The snapshots of one ``fit``; without a place for them it does nothing.

    Args:
        training: what is trained.
        resume: a folder, `Snapshots`, or None.
    """

    def __init__(self, training: TrainingState, resume: str | os.PathLike[str] | Snapshots | None) -> None:
        self._training = training
        self._snapshots = resume if resume is None or isinstance(resume, Snapshots) else Snapshots(resume)
        self._stack = contextlib.ExitStack()
        self.after_batch: Callable[[], None] = self._after_batch if self._snapshots is not None else _nothing

    def __enter__(self) -> Self:
        if self._snapshots is not None:
            self._stack.callback(self._snapshots.close)
            self._stack.enter_context(INTERRUPTS.deferred())
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    def look(self) -> dict[str, Any] | None:
        """Return the state to go on from, if there is one."""
        if self._snapshots is None:
            return None
        self._snapshots.warn = self._training.screen.warn
        state = self._snapshots.newest()
        self._training.going_on = self._training.going_on or state is not None
        return state

    def begin(self) -> None:
        """Take the first snapshot: what is written from here on is known to be this training's.

        Raises:
            TrainingError: a callback keeps something that a snapshot cannot hold.
        """
        training = self._training
        if self._snapshots is None or training.going_on:
            self._say()
            return
        try:
            self._snapshots.save(training.state_dict())
        except TypeError as error:
            raise TrainingError(f"the state of this training cannot be kept: {error}") from error

    def _say(self) -> None:
        epoch, _ = self._training.position
        feed = self._training.feed
        if self._training.going_on and feed is not None and not feed.seekable:
            self._training.screen.warn(
                f"the data is a generator, which cannot go back: epoch {epoch + 1} begins with whatever it yields next"
            )

    def _after_batch(self) -> None:
        """Take a snapshot inside the epoch, if it is time; stop, if somebody asked for it."""
        assert self._snapshots is not None
        if INTERRUPTS.pending is not None:
            self._stop()
        if self._snapshots.due and self._can_be_taken:
            self._snapshots.save(self._training.state_dict())

    @property
    def _can_be_taken(self) -> bool:
        training = self._training
        waiting = training.step is not None and training.step.waiting
        return not waiting and training.feed is not None and training.feed.seekable

    def _stop(self) -> None:
        assert self._snapshots is not None
        if self._training.feed is not None and self._training.feed.seekable:
            self._snapshots.save(self._training.state_dict(), wait=True)
        INTERRUPTS.raise_pending()

    def after_test_batch(self) -> None:
        """Stop inside a validation, if somebody asked for it; it is made again from its beginning."""
        if self._snapshots is not None and INTERRUPTS.pending is not None:
            INTERRUPTS.raise_pending()

    def before_test(self) -> None:
        """Take a snapshot before a validation, if it costs little."""
        if self._snapshots is not None and self._snapshots.cheap and self._can_be_taken:
            self._snapshots.save(self._training.state_dict())

    def after_epoch(self, *, last: bool) -> None:
        """Take a snapshot between two epochs, if it costs little or ``last`` says so; stop, if somebody asked."""
        if self._snapshots is None:
            return
        stop = INTERRUPTS.pending is not None
        if last or stop or self._snapshots.cheap:
            self._snapshots.save(self._training.state_dict(), wait=last or stop)
        if stop:
            INTERRUPTS.raise_pending()


def _nothing() -> None:
    return
