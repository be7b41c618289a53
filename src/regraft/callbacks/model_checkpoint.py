"""The callback that saves the model during training."""

from __future__ import annotations

import errno
import os
import string
from pathlib import Path
from typing import Any, ClassVar, Literal

from regraft.callbacks.callback import Logs, accept_older, is_positive_int
from regraft.callbacks.monitor_callback import Mode, MonitorCallback
from regraft.disk.atomic import make_folder
from regraft.disk.weight_suffixes import advice, suffix_of
from regraft.errors import TrainingError, did_you_mean

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
"""Errors of the disk; all others are errors of the path."""
OLDER = {
    "period": "is the number of epochs between two files; in Keras 3, save_freq counts batches",
    "options": "has no effect: it had settings of TensorFlow",
    "save_format": "has no effect: the suffix of filepath is the format",
}


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights, at the end of epochs or after a number of batches.

    A full disk, or a folder that is no longer writable, is a warning, and the last good file stays.

    Example:
        >>> best = ModelCheckpoint('best.safetensors', monitor='val_accuracy', save_best_only=True)
        >>> history = model.fit(x, y, epochs=2, validation_split=0.2, callbacks=[best], verbose=0)
        >>> model.load('best.safetensors')

    Args:
        filepath: the file; ``{epoch:02d}`` (counted from 1), ``{batch}`` and names in the logs such as
            ``{val_loss:.2f}`` are filled in. The suffix is the format: ``.safetensors`` (also ``.keras``), ``.h5``
            (also ``.hdf5``, ``.weights.h5``) or ``.pt`` (also ``.pth``, ``.ckpt``, ``.bin``).
        monitor: name of the metric that decides which epoch is the best.
        verbose: 1 prints when it saves.
        save_best_only: save only epochs that improve on the best one.
        save_weights_only: leave out the state of the optimizer.
        mode: ``"min"``, ``"max"`` or ``"auto"``.
        save_freq: ``"epoch"``, or a number of batches.
        initial_value_threshold: the first epoch has to improve on this value.
        **kwargs: arguments of older Keras: ``period``, the number of epochs between two files; ``options`` and
            ``save_format``, which have no effect. Each causes one warning.

    Raises:
        TrainingError: an unknown suffix or argument, an unknown name in ``filepath``, or arguments with which no file
            would ever be saved.
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
        accept_older("ModelCheckpoint", kwargs, OLDER)
        threshold: Any = initial_value_threshold
        if not isinstance(threshold, str) and not hasattr(threshold, "__float__"):
            threshold = None  # older scripts pass TensorFlow's options here
        self.check_numbers(initial_value_threshold=threshold)
        super().__init__(monitor, mode, None if threshold is None else float(threshold))
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.period = kwargs.get("period", 1)
        self.batches_seen = self.epochs_seen = 0
        self.last_batch: int | None = None
        self._epoch = 0
        self._has_saved = self._has_looked = False
        self._failed = ""  # reason if the last attempt failed
        self._fields = _fields_of(self.filepath)
        self._check_arguments()

    def _check_arguments(self) -> None:
        if suffix_of(self.filepath) is None:
            raise TrainingError(f"ModelCheckpoint: filepath is {self.filepath!r}; {advice(self.filepath)}")
        if self.save_freq != "epoch" and not is_positive_int(self.save_freq):
            raise TrainingError(
                f"ModelCheckpoint: Unrecognized save_freq: save_freq is {self.save_freq!r}; expected 'epoch' or a "
                "number of batches"
            )
        if not is_positive_int(self.period):
            raise TrainingError(f"ModelCheckpoint: period is {self.period!r}; expected a number of epochs")
        if self.save_freq == "epoch" and "batch" in self._fields:
            raise TrainingError("ModelCheckpoint: {batch} in filepath needs save_freq to be a number of batches")
        late = [name for name in self._fields if name.startswith("val_")]
        if self.save_freq != "epoch" and late:
            raise TrainingError(f"ModelCheckpoint: {late} in filepath is known only at the end of an epoch")
        if self.save_freq != "epoch" and self.save_best_only and self.monitor.startswith("val_"):
            raise TrainingError(
                f"ModelCheckpoint: save_freq={self.save_freq} with save_best_only=True would never save, because "
                f"{self.monitor!r} is known only at the end of an epoch; pass save_freq='epoch', or monitor a figure "
                "of training, such as monitor='loss'"
            )

    def needs_validation(self) -> str | None:
        """Return the metric of validation that the file name or the choice of the best epoch needs."""
        named = [name for name in self._fields if name.startswith("val_")]
        if named:
            return f"has {{{named[0]}}} in its file name"
        return super().needs_validation() if self.save_best_only else None

    def check_direction(self) -> None:
        """Raise `TrainingError` if ``save_best_only`` is set and the better direction is unknown."""
        if self.save_best_only:
            super().check_direction()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Warn if this ``fit`` is too short to save anything."""
        self._has_looked = False
        params = self.params or {}
        epochs = (params.get("epochs") or 0) - getattr(self._model, "initial_epoch", 0)
        steps = params.get("steps")
        if self.save_freq == "epoch" and 0 < epochs < self.period - self.epochs_seen:
            self.warn(f"period is {self.period} epochs, and fit has {epochs}: nothing will be saved")
        elif self.save_freq != "epoch" and steps and 0 < epochs * steps < int(self.save_freq) - self.batches_seen:
            self.warn(f"save_freq is {self.save_freq} batches, and fit has {epochs * steps}: nothing will be saved")

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Warn if ``save_best_only`` is set and no file was saved."""
        if self.save_best_only and self._has_looked and not self._has_saved and not self._failed:
            never = "was a number" if self.best is None else f"improved on {self.best:g}, the initial_value_threshold"
            self.warn(f"nothing was saved: {self.monitor!r} never {never}")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Record the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save, if ``save_freq`` is a number and that many batches have passed."""
        if self._should_save_on_batch(batch):
            self._save_model(self._epoch, batch, logs or {})

    def _should_save_on_batch(self, batch: int) -> bool:
        if self.save_freq == "epoch":
            return False
        if self.last_batch is None or batch <= self.last_batch:
            self.batches_seen += batch + 1
        else:
            self.batches_seen += batch - self.last_batch
        self.last_batch = batch
        if self.batches_seen < int(self.save_freq):
            return False
        self.batches_seen = 0
        return True

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if ``save_freq`` is ``"epoch"``, ``period`` epochs have passed, and the epoch is good enough."""
        if self.save_freq != "epoch":
            return
        self.epochs_seen += 1
        if self.epochs_seen >= self.period:
            self.epochs_seen = 0
            self._save_model(epoch, None, logs or {})

    @property
    def epochs_since_last_save(self) -> int:
        """Number of epochs since the last file; the name in older Keras."""
        return self.epochs_seen

    @epochs_since_last_save.setter
    def epochs_since_last_save(self, value: int) -> None:
        self.epochs_seen = value

    def _save_model(self, epoch: int, batch: int | None, logs: Logs | None) -> None:
        logs = logs or {}
        if self._fields and not _has_validation(self._fields, logs):
            return  # an epoch without validation (validation_freq): the file name lacks its metrics
        path = self._get_file_path(epoch, batch, logs)
        before = self.best
        if not self._should_save_model(epoch, batch, logs, path):
            return
        try:
            self._write(path)
        except OSError as error:
            if not self._has_saved and error.errno not in DISK:
                raise
            self.best = before  # an epoch that was not saved is not the best saved one
            why = error.strerror or str(error)
            if why != self._failed:
                self._failed = why
                self.warn(f"{path} could not be written: {why}; training continues")
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

    def _should_save_model(self, epoch: int, batch: int | None, logs: Logs, filepath: str) -> bool:
        if not self.save_best_only:
            if self.verbose > 0:
                self.say(f"Epoch {epoch + 1}: saving model to {filepath}")
            return True
        current = self.get_monitor_value(logs)
        if current is None:
            return False
        self._has_looked = True
        best = "None" if self.best is None else f"{self.best:.5f}"
        better = self._is_improvement(current, self.best)
        if self.verbose > 0:
            outcome = (
                f"improved from {best} to {current:.5f}, saving model to {filepath}"
                if better
                else (f"did not improve from {best}")
            )
            self.say(f"Epoch {epoch + 1}: {self.monitor} {outcome}")
        if better:
            self.best = current
        return better

    def _get_file_path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        known = {"epoch": epoch + 1, **logs}
        if batch is not None and "batch" not in known:
            known["batch"] = batch + 1
        if "learning_rate" in known:
            known.setdefault("lr", known["learning_rate"])
        for name in self._fields:
            if name not in known:
                raise TrainingError(
                    f"ModelCheckpoint: {{{name}}} in {self.filepath!r} cannot be filled in"
                    f"{did_you_mean(name, known, there_are=sorted(known))}"
                )
        return self.filepath.format(**known)


def _fields_of(template: str) -> tuple[str, ...]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise TrainingError(f"ModelCheckpoint: filepath {template!r} is not a valid template: {error}") from error
    return tuple(dict.fromkeys(name.split(".")[0].split("[")[0] for _, name, _, _ in parts if name))


def _has_validation(fields: tuple[str, ...], logs: Logs) -> bool:
    """Return whether ``logs`` contain metrics of validation, if ``fields`` name any."""
    needed = any(name.startswith("val_") for name in fields)
    return not needed or any(name.startswith("val_") for name in logs)
