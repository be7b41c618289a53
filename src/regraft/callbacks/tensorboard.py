"""The callback that writes event files for TensorBoard."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from regraft.callbacks import event_files
from regraft.callbacks.callback import Callback, Logs, accept_older, is_positive_int
from regraft.callbacks.profiling import BatchProfile
from regraft.callbacks.projector import Projector
from regraft.errors import TrainingError

OLDER = {
    "batch_size": "has no effect: it was the size of batches for histograms",
    "write_grads": "has no effect: gradients are not written; a callback can write them in on_train_batch_end",
    "embeddings_layer_names": "has no effect: with embeddings_freq, all nn.Embedding are written",
    "embeddings_data": "has no effect: with embeddings_freq, the weights of all nn.Embedding are written",
}


class TensorBoard(Callback):
    """Write event files for TensorBoard in Keras's layout: ``train/`` and ``validation/`` in ``log_dir``.

    Scalars by epoch (counted from 0) are ``epoch_loss``, ``epoch_<metric>`` and ``epoch_learning_rate``; those of
    validation have no ``val_``. Scalars by update of the weights are ``evaluation_<metric>_vs_iterations``. With
    ``update_freq`` there are scalars by batch: ``batch_loss`` ... . Epochs and batches are counted over all calls of
    ``fit`` of a trainer. ``tensorboard --logdir log_dir`` shows them.

    Example:
        >>> board = TensorBoard(log_dir='logs', histogram_freq=1)
        >>> history = model.fit(x, y, epochs=2, validation_split=0.2, callbacks=[board], verbose=0)
        >>> sorted(os.listdir('logs'))
        ['train', 'validation']

    Args:
        log_dir: the folder.
        histogram_freq: number of epochs between two histograms of all weights; 0: none.
        write_graph: write the graph of the module, traced once with the first batch.
        write_images: also write weights as images, with the histograms.
        write_steps_per_second: write the number of steps per second.
        update_freq: ``"epoch"``, ``"batch"``, or the number of batches between two values by batch. Each value waits
            for the device.
        profile_batch: number of a batch (from 1), or a pair or text ``"10,20"`` of the first and last one, to profile;
            0: none. The trace is ``train/profile/*.json.gz``, which https://ui.perfetto.dev opens.
        embeddings_freq: number of epochs between two files of the weights of all ``nn.Embedding`` for the projector; 0:
            none.
        embeddings_metadata: a file with a label for each row, relative to ``log_dir``, or files by module name.
        **kwargs: arguments of older Keras: ``batch_size``, ``write_grads``, ``embeddings_layer_names``,
            ``embeddings_data``. They have no effect, and each causes one warning.

    Raises:
        TrainingError: ``update_freq``, ``profile_batch`` or ``embeddings_metadata`` is invalid.
    """

    saved: ClassVar[tuple[str, ...]] = (
        "global_batch",
        "_fit_batch",
        "_epochs_before",
        "_iterations",
        "_graph_written",
        "_others",
    )

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: int | Literal["epoch", "batch"] = "epoch",
        profile_batch: int | str | tuple[int, int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        accept_older("TensorBoard", kwargs, OLDER)
        super().__init__()
        self.log_dir = str(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = _checked_frequency(update_freq)
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        self.global_batch = self._fit_batch = 0
        self._epochs_before = 0  # epochs of earlier calls of fit
        self._profile = BatchProfile(profile_batch, Path(self.log_dir, "train", "profile"), self.warn)
        self._projector: Projector | None = None
        self._files: dict[str, event_files.EventFile] = {}
        self._graph_written = False
        self._batch_begun = self._epoch_begun = 0.0
        self._iterations = 0
        self._others: list[str] = []  # event files of other trainings in the same folder

    def set_model(self, model: Any) -> None:
        """Store the trainer, and check the names of the embeddings."""
        super().set_model(model)
        self._graph_written = not self.write_graph
        if self.embeddings_freq:
            self._projector = Projector(self.log_dir, _embeddings(model.module), self.embeddings_metadata)

    def file(self, side: Literal["train", "validation"]) -> event_files.EventFile:
        """Return the event file of ``side``, which is opened at the first call."""
        if side not in self._files:
            self._files[side] = event_files.EventFile(Path(self.log_dir, side), self.warn)
        return self._files[side]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Continue the counts of earlier calls of ``fit``."""
        optimizer = self.model.optimizer
        self.global_batch = int(optimizer.iterations) * getattr(self.model, "accumulate", 1)
        self._fit_batch = 0
        begun = getattr(self.model, "initial_epoch", 0)
        self._epochs_before = max(0, getattr(self.model, "epochs_trained", 0) - begun)
        self._others = event_files.event_files(Path(self.log_dir))

    def state_dict(self) -> dict[str, Any]:
        """Flush the event files to the disk, and return the counts and the sizes of the files."""
        for file in self._files.values():
            file.flush()
        return {**super().state_dict(), "sizes": event_files.durable_sizes(Path(self.log_dir), self._others)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the counts, and remove the events that were written later."""
        super().load_state_dict({name: value for name, value in state.items() if name != "sizes"})
        if "_fit_batch" not in state:  # a state of an older version, in which each fit counted from 0
            self._fit_batch = self.global_batch
        self._epoch_begun = self._batch_begun = time.perf_counter()
        if "sizes" in state:
            event_files.cut_back(Path(self.log_dir), self._others, state["sizes"])

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Record the time."""
        self._epoch_begun = time.perf_counter()
        self._iterations = self.model.optimizer.iterations

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Record the time, and begin the profile if ``batch`` is its first one."""
        self.global_batch += 1
        self._fit_batch += 1
        self._batch_begun = time.perf_counter()
        self._profile.begin(self._fit_batch)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write the scalars of the batch, if ``update_freq`` batches have passed."""
        self._profile.end(self._fit_batch)
        if not self._graph_written:
            self._graph_written = True
            self._write_graph()
        if self.update_freq == "epoch" or self.global_batch % self.update_freq:
            return
        for name, value in (logs or {}).items():
            self.file("train").scalar(f"batch_{name}", value, self.global_batch)
        if self.write_steps_per_second:
            speed = 1.0 / max(time.perf_counter() - self._batch_begun, 1e-9)
            self.file("train").scalar("batch_steps_per_second", speed, self.global_batch)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Write the scalars of an evaluation by the number of updates."""
        optimizer = self.model.optimizer
        for name, value in (logs or {}).items() if optimizer is not None else ():
            self.file("validation").scalar(f"evaluation_{name}_vs_iterations", value, optimizer.iterations)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the scalars of the epoch, histograms and embeddings."""
        figures = dict(logs or {}) | {"learning_rate": float(self.model.optimizer.learning_rate)}
        if self.write_steps_per_second:
            done = self.model.optimizer.iterations - self._iterations
            figures["steps_per_second"] = done / max(time.perf_counter() - self._epoch_begun, 1e-9)
        for name, value in figures.items():
            side: Literal["train", "validation"] = "validation" if name.startswith("val_") else "train"
            self.file(side).scalar(f"epoch_{name.removeprefix('val_')}", value, self._epochs_before + epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(self._epochs_before + epoch)
        if self._projector is not None and epoch % self.embeddings_freq == 0:
            self._projector.write(_embeddings(self.model.module))
        for file in self._files.values():
            file.flush()

    def _write_weights(self, epoch: int) -> None:
        file = self.file("train")
        for name, weight in self.model.module.state_dict().items():
            path = name.replace(".", "/")
            if weight.is_floating_point() and weight.numel():
                file.histogram(f"{path}/histogram", weight, epoch)
                image = event_files.weight_as_image(weight) if self.write_images else None
                if image is not None:
                    file.images(f"{path}/image", image, epoch)

    def _write_graph(self) -> None:
        try:
            self.file("train").graph(self.model.module, self.model.batch, self.model.device)
        except Exception as error:  # noqa: BLE001 (a module that cannot be traced can be trained all the same)
            first = str(error).strip().splitlines()[:1]
            self.warn(f"the graph is not written, because the module cannot be traced: {''.join(first)}")

    def on_train_end(self, logs: Logs | None = None) -> None:
        """End a profile that is still running, and close the files."""
        self.close()

    def close(self) -> None:
        """End a profile that is still running, and close the files."""
        self._profile.close()
        files, self._files = self._files, {}
        for file in files.values():
            file.close()


def _embeddings(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: m.weight for name, m in module.named_modules() if isinstance(m, nn.Embedding)}


def _checked_frequency(given: Any) -> int | Literal["epoch"]:
    if given == "epoch":
        return "epoch"
    if given == "batch":
        return 1
    if is_positive_int(given):
        return int(given)
    raise TrainingError(f"TensorBoard: update_freq is {given!r}; expected 'epoch', 'batch' or a number of batches")
