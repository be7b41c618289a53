"""Event files of TensorBoard, written by its own package through torch, without TensorFlow."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regraft.disk.atomic import durable_size, flush_folder, truncate_to

MOST_IMAGES = 64  # per weight
FIRST_NUMBER = 10**6  # first number in the names of event files
SIDES = ("train", "validation")


class EventFile:
    """One event file, for training or validation; a write error of the disk ends it.

    Args:
        folder: folder of the file; created if it does not exist.
        warn: called once with a message, if the file ends early.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder, self._warn = folder, warn
        self._writer: Any = None
        self._ended = False
        self._do(self._open)

    def _open(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder.mkdir(parents=True, exist_ok=True)
        _number_files_in_order()
        self._writer = SummaryWriter(str(self._folder))
        with contextlib.suppress(
            AttributeError
        ):  # its thread would print a traceback of the error that is reported here
            self._writer.file_writer.event_writer._async_writer._worker._invoke_excepthook = _ignore_error

    def _do(self, act: Callable[..., None], *arguments: Any, **more: Any) -> None:
        """Call ``act``, unless the file has ended."""
        if self._ended:
            return
        try:
            act(*arguments, **more)
        except OSError as error:
            self._ended = True
            self._warn(f"no more events are written to {self._folder}: {error.strerror or error}; training continues")

    def scalar(self, name: str, value: Any, step: int) -> None:
        """Write a number; arrays and texts are skipped."""
        if np.ndim(value) == 0 and not isinstance(value, str):
            self._do(lambda: self._writer.add_scalar(name, float(value), step))

    def histogram(self, name: str, values: Tensor, step: int) -> None:
        """Write the histogram of values of any shape; NaN and infinite ones are skipped."""
        flat = values.detach().float().flatten()
        finite = flat[torch.isfinite(flat)]
        if finite.numel():
            self._do(lambda: self._writer.add_histogram(name, finite.cpu().numpy(), step))

    def images(self, name: str, images: np.ndarray[Any, Any], step: int) -> None:
        """Write images (n, height, width, 1 or 3), float between 0 and 1, or uint8."""
        self._do(lambda: self._writer.add_images(name, images, step, dataformats="NHWC"))

    def text(self, name: str, text: str, step: int) -> None:
        """Write a text, which TensorBoard shows as Markdown."""
        self._do(lambda: self._writer.add_text(name, text, step))

    def graph(self, module: nn.Module, batch: Any, device: torch.device) -> None:
        """Write the graph of ``module``, traced with one sample of ``batch``; module and generators do not change.

        Raises:
            Exception: any error of tracing.
        """
        inputs = _first_sample(batch, device)
        with _undisturbed(module), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            self._do(lambda: self._writer.add_graph(module, inputs, use_strict_trace=False))

    def flush(self) -> None:
        """Flush the file to the disk."""
        if self._writer is not None:
            self._do(self._writer.flush)

    def close(self) -> None:
        """Flush the file to the disk and close it."""
        self.flush()
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()


def _number_files_in_order() -> None:
    """Give the numbers in the names of event files the same number of digits.

    TensorBoard reads the files of one second in the order of their names, where 10 comes before 9.
    """
    from tensorboard.summary.writer import event_file_writer  # type: ignore[import-untyped]

    with contextlib.suppress(AttributeError):
        if event_file_writer._global_uid._value < FIRST_NUMBER:
            event_file_writer._global_uid = event_file_writer.AtomicCounter(FIRST_NUMBER)


def event_files(folder: Path) -> list[str]:
    """Return the event files of training and validation in ``folder``, relative to it."""
    paths = (path for side in SIDES for path in (folder / side).glob("events.out.tfevents.*"))
    return sorted(path.relative_to(folder).as_posix() for path in paths if path.is_file())


def durable_sizes(folder: Path, others: Collection[str]) -> dict[str, int]:
    """Flush the event files in ``folder`` to the disk, except ``others``, and return their sizes in bytes."""
    sizes = {}
    for name in event_files(folder):
        if name not in others:
            with contextlib.suppress(OSError):  # a file that ended early cannot be flushed
                sizes[name] = (folder / name).stat().st_size
                with (folder / name).open("rb+") as file:
                    sizes[name] = durable_size(file)
    flush_folder(folder)
    flush_folder(folder.parent)
    return sizes


def cut_back(folder: Path, others: Collection[str], sizes: Mapping[str, int]) -> None:
    """Truncate the event files in ``folder``, except ``others``, to ``sizes``; remove files without a size."""
    for name in event_files(folder):
        if name in others:
            continue
        if name not in sizes:
            (folder / name).unlink()
            continue
        with (folder / name).open("rb+") as file:
            truncate_to(file, sizes[name])


def _first_sample(batch: Any, device: torch.device) -> Any:
    x = batch[0] if isinstance(batch, (tuple, list)) else batch
    if isinstance(x, Mapping):
        raise TypeError("its inputs are given by name")
    parts = [torch.as_tensor(part)[:1].to(device) for part in (x if isinstance(x, (tuple, list)) else [x])]
    parts = [part.float() if part.dtype is torch.float64 else part for part in parts]
    return tuple(parts) if len(parts) > 1 else parts[0]


@contextlib.contextmanager
def _undisturbed(module: nn.Module) -> Iterator[None]:
    """Restore the mode of every submodule of ``module``, and the generators, at the end of the block."""
    modes = [(part, part.training) for part in module.modules()]
    cuda = [p.device for p in module.parameters() if p.device.type == "cuda"][:1]
    with torch.random.fork_rng(devices=cuda):
        module.eval()
        try:
            yield
        finally:
            for part, mode in modes:
                part.training = mode


def weight_as_image(weight: Tensor) -> np.ndarray[Any, Any] | None:
    """Return a weight as images (n, height, width, 1 or 3) between 0 and 1; None for other shapes.

    As in Keras, a vector is one row and a matrix one image, wider than high. Of filters (n, 1 or 3, height, width),
    each of the first 64 is an image.
    """
    values = weight.detach().float().cpu()
    if values.ndim == 4 and values.shape[1] in (1, 3):
        images = values[:MOST_IMAGES].permute(0, 2, 3, 1)
    else:
        values = values.squeeze()
        if values.ndim == 1:
            images = values.reshape(1, 1, -1, 1)
        elif values.ndim == 2:
            values = values.T if values.shape[0] > values.shape[1] else values
            images = values.reshape(1, *values.shape, 1)
        elif values.ndim == 3:
            images = values[:MOST_IMAGES].unsqueeze(-1)
        else:
            return None
    images = torch.nan_to_num(images, 0.0, 0.0, 0.0)
    low, high = float(images.min()), float(images.max())
    scaled: np.ndarray[Any, Any] = ((images - low) / max(high - low, 1e-12)).numpy()
    return scaled


def _ignore_error(thread: Any) -> None:
    """Do not print the error of a thread; it is raised again by the next write."""
