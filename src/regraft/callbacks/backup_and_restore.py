"""The callback that resumes training after an interruption."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, ClassVar, Literal

from regraft.callbacks.callback import Callback, Logs, is_positive_int
from regraft.disk.atomic import make_folder
from regraft.errors import ModelFileError, TrainingError


class BackupAndRestore(Callback):
    """Save the whole state of training in a folder, and resume from it when ``fit`` is called again.

    The state contains weights, optimizer, moving average, the state of every callback, the history, the running means
    of the epoch, and the random generators that dropout and the order of the data depend on. Training continues with
    the next batch, and ends with the same weights as without the interruption. ``fit(resume=...)`` does the same by the
    clock, on another thread, and handles Ctrl-C.

    Example:
        >>> backup = BackupAndRestore('backup', save_freq=10)
        >>> history = model.fit(x, y, epochs=2, callbacks=[backup], verbose=0)  # call it again after a crash
        >>> backup.will_restore  # training reached its end, so the state was removed
        False

    Args:
        backup_dir: folder for the state; created if it does not exist.
        save_freq: ``"epoch"``: save at the end of each epoch; a number: also save after that many batches. A generator
            cannot go back: with it, an interrupted epoch starts again, from the weights that were saved.
        double_checkpoint: also keep the previous state, and use it if the last one is damaged.
        delete_checkpoint: remove the state when training reaches its end.

    Raises:
        TrainingError: ``backup_dir`` is empty or ``save_freq`` is invalid.
        ModelFileError: from ``fit``, if the state in the folder is damaged and there is no previous one.
    """

    saved: ClassVar[tuple[str, ...]] = ("_batches",)
    runs_last: ClassVar[bool] = True  # the saved state has to include what other callbacks do at the same event
    LATEST, PREVIOUS = "latest.safetensors", "previous.safetensors"

    def __init__(
        self,
        backup_dir: str | os.PathLike[str] | None,
        save_freq: int | Literal["epoch"] = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(backup_dir, (str, os.PathLike)) or not os.fspath(backup_dir):
            given = "empty" if backup_dir == "" else repr(backup_dir)
            raise TrainingError(
                f"Empty `backup_dir` argument passed to BackupAndRestore: backup_dir is {given}; expected a folder"
            )
        if save_freq != "epoch" and not is_positive_int(save_freq):
            raise TrainingError(
                f"BackupAndRestore: Invalid value: save_freq is {save_freq!r}; expected 'epoch' or a number of batches"
            )
        self.backup_dir = Path(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._batches = 0
        self._current_epoch, self._last_batch_seen = 0, 0  # next epoch and last batch; the names are Keras's
        self._failed = ""

    @property
    def will_restore(self) -> bool:
        """True if there is a state to resume from."""
        return any((self.backup_dir / name).exists() for name in (self.LATEST, self.PREVIOUS))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Restore the state, if there is one."""
        latest, previous = self.backup_dir / self.LATEST, self.backup_dir / self.PREVIOUS
        if not self.will_restore:
            return
        try:
            state = self.model.read_state(latest)
        except ModelFileError as error:
            if not previous.exists():
                raise
            self.warn(f"{error}; resuming from the previous state")
            state = self.model.read_state(previous)
        self.model.restore(state)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save the state, if enough batches have passed."""
        self._last_batch_seen = batch
        if self.save_freq == "epoch":
            return
        self._batches += 1
        if self._batches >= self.save_freq:
            self._batches = 0
            self._save()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save the state."""
        self._current_epoch = epoch + 1
        self._batches = 0
        self._save()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Remove the state, if ``delete_checkpoint`` is set."""
        if not self.delete_checkpoint:
            return
        for name in (self.LATEST, self.PREVIOUS):
            (self.backup_dir / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the folder contains other files
            self.backup_dir.rmdir()

    def _save(self) -> None:
        try:
            self._write()
        except OSError as error:
            why = error.strerror or str(error)
            if why != self._failed:
                self._failed = why
                self.warn(f"the state could not be written to {self.backup_dir}: {why}; training continues without it")
        else:
            self._failed = ""

    def _write(self) -> None:
        make_folder(self.backup_dir)
        latest = self.backup_dir / self.LATEST
        if self.double_checkpoint and latest.exists():
            os.replace(latest, self.backup_dir / self.PREVIOUS)
        state: dict[str, Any] = self.model.state_dict()
        if not self.model.feed.seekable:
            state |= {"batch": 0}
        self.model.write_state(latest, state)
