"""The snapshots of one ``fit``: when they are taken, resuming from the newest, and stopping on an interrupt."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from regraft.distributed.world import current
from regraft.errors import TrainingError
from regraft.interrupts import INTERRUPTS
from regraft.training.saving.snapshots import Snapshots

if TYPE_CHECKING:
    from regraft.training.trainer import Trainer


class FitSnapshots:
    """The snapshots of one ``fit``; without a folder the methods do nothing.

    Args:
        trainer: the trainer.
        resume: a folder, `Snapshots`, or None.
    """

    def __init__(self, trainer: Trainer, resume: str | os.PathLike[str] | Snapshots | None) -> None:
        self._trainer = trainer
        wanted = resume is not None
        self._snapshots = resume if resume is None or isinstance(resume, Snapshots) else Snapshots(resume)
        if current().rank:
            self._snapshots = None  # process 0 reads and writes them for all
        self._wanted = wanted
        self._stack = contextlib.ExitStack()
        self.after_batch: Callable[[], None] = self._after_batch if wanted else _do_nothing

    def __enter__(self) -> Self:
        if self._snapshots is not None:
            self._stack.callback(self._snapshots.close)
        if self._wanted:
            self._stack.enter_context(INTERRUPTS.deferred())
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    def load(self) -> dict[str, Any] | None:
        """Return the newest saved state, or None if there is none."""
        if self._snapshots is None:
            return None
        self._snapshots.warn = self._trainer.screen.warn
        state = self._snapshots.newest()
        self._trainer.resuming = self._trainer.resuming or state is not None
        return state

    def first(self) -> None:
        """Take the first snapshot of a new training, so that later ones in this folder are known to belong to it.

        Raises:
            TrainingError: a callback has state that a snapshot cannot contain.
        """
        if self._snapshots is None or self._trainer.resuming:
            self._warn_of_generator()
            return
        try:
            self._snapshots.save(self._trainer.state_dict())
        except TypeError as error:
            raise TrainingError(f"the state of this training cannot be saved: {error}") from error

    def _warn_of_generator(self) -> None:
        epoch, _ = self._trainer.position
        if self._trainer.resuming and not self._seekable:
            self._trainer.screen.warn(
                f"a generator cannot be rewound: epoch {epoch + 1} begins with the batch that it yields next"
            )

    @property
    def _seekable(self) -> bool:
        feed = self._trainer.feed
        return feed is not None and feed.seekable

    @property
    def _can_be_taken(self) -> bool:
        """True if training can resume here: no gradients wait for an update, and the data can be read again."""
        step = self._trainer.step
        return not (step is not None and step.waiting) and self._seekable

    def _after_batch(self) -> None:
        """Take a snapshot inside the epoch if one is due; stop if an interrupt is pending."""
        interrupt = current().interrupt
        if interrupt is not None:
            if self._seekable and self._snapshots is not None:
                self._snapshots.save(self._trainer.state_dict(), wait=True)
            raise interrupt
        if self._snapshots is not None and self._snapshots.due and self._can_be_taken:
            self._snapshots.save(self._trainer.state_dict())

    def after_validation_batch(self) -> None:
        """Stop inside a validation if an interrupt is pending; a resumed training repeats the validation."""
        interrupt = current().interrupt
        if self._wanted and interrupt is not None:
            raise interrupt

    def before_validation(self) -> None:
        """Take a snapshot before a validation, if it costs little."""
        if self._snapshots is not None and self._snapshots.cheap and self._can_be_taken:
            self._snapshots.save(self._trainer.state_dict())

    def after_epoch(self, *, last: bool) -> None:
        """Take a snapshot after an epoch if it is the last one or costs little; stop if an interrupt is pending."""
        interrupt = current().interrupt if self._wanted else None
        if self._snapshots is not None and (last or interrupt is not None or self._snapshots.cheap):
            self._snapshots.save(self._trainer.state_dict(), wait=last or interrupt is not None)
        if interrupt is not None:
            raise interrupt


def _do_nothing() -> None:
    return
