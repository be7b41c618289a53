"""Save the model while it trains."""

from __future__ import annotations

import errno
import os
import string
from pathlib import Path
from typing import Any, ClassVar, Literal

from regraft.callbacks.callback import Logs, reject_unknown
from regraft.callbacks.monitor_callback import Mode, MonitorCallback
from regraft.disk.atomic import make_folder
from regraft.errors import TrainingError, did_you_mean

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
"""Errors of the disk, not of the path that was given."""

SUFFIXES = (".safetensors", ".keras", ".weights.h5", ".h5", ".pt")


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights, at the end of epochs or every so many batches.

    A disk that is full, or a folder that can no longer be written to, is a warning, and the last good file stays.

    Args:
        filepath: the file; ``{epoch:02d}`` (counted from 1), ``{batch}`` and the names of logs such as
            ``{val_loss:.2f}`` are filled in. The suffix is the format: ``.safetensors`` (also written as ``.keras``),
            ``.h5``, ``.weights.h5`` or ``.pt``.
        monitor: figure that decides which epoch is the best.
        verbose: 1 says when it saves.
        save_best_only: save only epochs that improve on the best one.
        save_weights_only: leave out the state of the optimizer.
        mode: ``"min"``, ``"max"`` or ``"auto"``.
        save_freq: ``"epoch"``, or a number of batches.
        initial_value_threshold: the first epoch has to improve on this value.
        **kwargs: of older lessons: ``period``, save every so many epochs; ``options``, of use to TensorFlow only.

    Raises:
        TrainingError: an unknown suffix or argument, or a name in ``filepath`` that cannot be filled in.
    """

    saved: ClassVar[tuple[str, ...]] = ("best", "batches_seen", "last_batch", "epochs_seen", "_epoch", "_has_saved")

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: Mode = "auto",
        save_freq: int | Literal["epoch"] = "epoch",
        initial_value_threshold: float | None = None,
        **kwargs: Any,
    ) -> None:
        reject_unknown("ModelCheckpoint", kwargs, ("period", "options"))
        if not isinstance(initial_value_threshold, (int, float)):
            initial_value_threshold = None  # older lessons pass TensorFlow's options here
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.period = int(kwargs.get("period", 1))
        self.batches_seen = self.epochs_seen = 0
        self.last_batch: int | None = None
        self._epoch = 0
        self._has_saved = False
        self._failed = ""  # why the last attempt did, if it did
        self._fields = _fields_of(self.filepath)
        self._check_arguments()

    def _check_arguments(self) -> None:
        if not self.filepath.endswith(SUFFIXES):
            raise TrainingError(
                f"ModelCheckpoint: {self.filepath!r} must end with one of {', '.join(SUFFIXES)}, which is the format"
            )
        if self.save_freq != "epoch" and (isinstance(self.save_freq, bool) or not isinstance(self.save_freq, int)):
            raise TrainingError(
                f"ModelCheckpoint: save_freq is {self.save_freq!r}; expected 'epoch' or a number of batches"
            )
        if self.save_freq == "epoch" and "batch" in self._fields:
            raise TrainingError("ModelCheckpoint: {batch} in filepath needs save_freq to be a number of batches")
        late = [name for name in self._fields if name.startswith("val_")]
        if self.save_freq != "epoch" and late:
            raise TrainingError(f"ModelCheckpoint: {late} in filepath is known only at the end of an epoch")

    def needs_validation(self) -> str | None:
        """Return which figure of validation the name of the file, or the choice of the best, needs."""
        named = [name for name in self._fields if name.startswith("val_")]
        if named:
            return f"writes {{{named[0]}}} into the name of its file"
        return super().needs_validation() if self.save_best_only else None

    def check_direction(self) -> None:
        """Raise `TrainingError` if the best is to be saved and it is not known which direction is better."""
        if self.save_best_only:
            super().check_direction()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save, if it saves by batches and enough have passed."""
        if self.save_freq == "epoch":
            return
        if self.last_batch is None or batch <= self.last_batch:
            self.batches_seen += batch + 1
        else:
            self.batches_seen += batch - self.last_batch
        self.last_batch = batch
        if self.batches_seen >= int(self.save_freq):
            self.batches_seen = 0
            self._save(self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if it saves by epochs, this one's turn has come, and it is good enough."""
        if self.save_freq != "epoch":
            return
        self.epochs_seen += 1
        if self.epochs_seen >= self.period:
            self.epochs_seen = 0
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        if self._fields and not _validated(self._fields, logs):
            return  # an epoch without validation (validation_freq): its figures cannot be in the name
        path = self._path(epoch, batch, logs)
        before = self.best
        if not self._good_enough(epoch, path, logs):
            return
        try:
            self._write(path)
        except OSError as error:
            if not self._has_saved and error.errno not in DISK:
                raise
            self.best = before  # what could not be kept is not the best that there is
            why = error.strerror or str(error)
            if why != self._failed:
                self._failed = why
                self.warn(f"{path} could not be written: {why}; training goes on")
            return
        self._has_saved, self._failed = True, ""
        if self.verbose > 0:
            self.say(f"Epoch {epoch + 1}: finished saving model to {path}")

    def _write(self, path: str) -> None:
        make_folder(Path(path).parent)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)

    def _good_enough(self, epoch: int, path: str, logs: Logs) -> bool:
        if not self.save_best_only:
            if self.verbose > 0:
                self.say(f"Epoch {epoch + 1}: saving model to {path}")
            return True
        current = self.value(logs)
        if current is None:
            return False
        best = "None" if self.best is None else f"{self.best:.5f}"
        better = self.improves(current, self.best)
        if self.verbose > 0:
            told = (
                f"improved from {best} to {current:.5f}, saving model to {path}"
                if better
                else (f"did not improve from {best}")
            )
            self.say(f"Epoch {epoch + 1}: {self.monitor} {told}")
        if better:
            self.best = current
        return better

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        known = {"epoch": epoch + 1, **logs}
        if batch is not None and "batch" not in known:
            known["batch"] = batch + 1
        if "learning_rate" in known:
            known.setdefault("lr", known["learning_rate"])
        for name in self._fields:
            if name not in known:
                raise TrainingError(
                    f"ModelCheckpoint: {{{name}}} in {self.filepath!r} cannot be filled in{did_you_mean(name, known)} "
                    f"There are: {sorted(known)}"
                )
        return self.filepath.format(**known)


def _fields_of(template: str) -> tuple[str, ...]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise TrainingError(f"ModelCheckpoint: filepath {template!r} is no template: {error}") from error
    return tuple(dict.fromkeys(name.split(".")[0].split("[")[0] for _, name, _, _ in parts if name))


def _validated(fields: tuple[str, ...], logs: Logs) -> bool:
    asks = any(name.startswith("val_") for name in fields)
    return not asks or any(name.startswith("val_") for name in logs)
