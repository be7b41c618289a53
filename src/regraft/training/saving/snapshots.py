"""Snapshots of a training: two files written in turn, so that one of them is whole whatever happens.

Each is written to a temporary file, flushed to the disk and renamed, and has a checksum over its whole content. The
newest whole one counts. The state is copied on the training thread and written on another.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regraft.disk.atomic import make_folder, sweep
from regraft.disk.safetensors_file import HeaderError, read_header
from regraft.errors import ModelFileError, SnapshotError, TrainingError, several
from regraft.training.state_format import flatten, read_with_facts, write_flat

EVERY = 30.0
"""Seconds between two snapshots inside an epoch."""

SHARE = 50
"""An optional snapshot is written only if this many times its own duration has passed since the last one, so
that short epochs spend no more than a fiftieth of their time on it."""

ALIGNED = 64
"""Alignment of tensors in memory, in bytes."""


class Snapshots:
    """The snapshots of one training in a folder.

    Example:
        >>> snapshots = Snapshots('snapshots', every=600)  # within an epoch, at least 10 minutes apart
        >>> history = model.fit(x, y, epochs=2, resume=snapshots, verbose=0)

    Args:
        folder: their folder; it is created with the first snapshot.
        every: seconds between two snapshots inside an epoch.
        identity: properties of the training by name, such as photos and arguments; a snapshot of something else is
            refused.

    Attributes:
        every: as given.
        warn: called with a message when a snapshot fails; training continues. `Trainer` sets it.
    """

    SLOTS = ("a.safetensors", "b.safetensors")

    def __init__(
        self, folder: str | os.PathLike[str], every: float = EVERY, identity: Mapping[str, str] | None = None
    ) -> None:
        if not every > 0:
            raise TrainingError(f"every is {every}; expected a positive number of seconds between snapshots")
        self.folder = Path(folder)
        self.every = float(every)
        self.identity = dict(identity or {})
        self.warn: Callable[[str], None] = _ignore
        self._sequence = 0
        self._slot = 0
        self._last = time.monotonic()
        self._cost = 0.0
        self._failed = ""
        self._buffer: Tensor | None = None  # one piece, and always the same: many small ones would leave holes
        self._pool: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None

    def newest(self) -> dict[str, Any] | None:
        """Return the state in the newest intact snapshot, or None if there is no snapshot.

        Raises:
            SnapshotError: there are snapshots, but none of them is intact.
            TrainingError: the snapshot belongs to another training; all differences are named.
        """
        sweep(self.folder)
        damaged: list[str] = []
        for slot in sorted(range(len(self.SLOTS)), key=self._claimed, reverse=True):
            path = self.folder / self.SLOTS[slot]
            if not path.exists():
                continue
            try:
                state, facts = read_with_facts(path)
                sequence, identity = int(facts["sequence"]), dict(json.loads(facts["identity"]))
            except (ModelFileError, KeyError, ValueError, TypeError, RecursionError) as error:
                damaged.append(
                    str(error) if isinstance(error, ModelFileError) else f"{path} is not a snapshot: {error!r}"
                )
                continue
            self._sequence, self._slot = sequence, 1 - slot
            for problem in damaged:
                self.warn(f"{problem}; resuming from the other snapshot")
            self._check(identity)
            return state
        if damaged:
            raise SnapshotError(
                several(f"{self.folder}: no snapshot is intact", damaged) + "\n  delete the folder to start over"
            )
        return None

    def _claimed(self, slot: int) -> int:
        """Return the sequence number in a snapshot's header, without reading its tensors; -1 if it has none."""
        try:
            return int(read_header(self.folder / self.SLOTS[slot]).metadata["sequence"])
        except (HeaderError, OSError, KeyError, ValueError):
            return -1

    def _check(self, other: Mapping[str, str]) -> None:
        names = [*self.identity, *(name for name in other if name not in self.identity)]
        differences = [
            f"{name}: {other.get(name, 'nothing')} then, {self.identity.get(name, 'nothing')} now"
            for name in names
            if other.get(name) != self.identity.get(name)
        ]
        if differences:
            raise TrainingError(
                several(f"{self.folder} contains the snapshots of another training", differences)
                + "\n  name another folder, or delete this one to start over"
            )

    @property
    def due(self) -> bool:
        """True if the next snapshot is due."""
        return time.monotonic() - self._last >= self.every

    @property
    def cheap(self) -> bool:
        """True if a snapshot is due, or would take only a small share of the time since the last one."""
        return self.due or time.monotonic() - self._last >= SHARE * self._cost

    def save(self, state: Mapping[str, Any], *, wait: bool = False) -> None:
        """Copy ``state`` and write it, on another thread; on failure it warns, and the previous snapshot remains.

        Args:
            state: what `flatten` takes.
            wait: return when it is on the disk.

        Raises:
            TypeError: ``state`` contains something that a snapshot cannot.
        """
        self._wait_for_write()
        begun = time.monotonic()
        unchanging: set[str] = set()
        text, tensors = flatten(state, "", unchanging)
        self._buffer, copies = copied({n: t for n, t in tensors.items() if n not in unchanging}, self._buffer)
        tensors |= copies
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="snapshots")
        self._sequence += 1
        facts = {"sequence": str(self._sequence), "identity": json.dumps(self.identity, ensure_ascii=False)}
        path = self.folder / self.SLOTS[self._slot]
        self._slot = 1 - self._slot
        self._writing = self._pool.submit(self._write, path, text, tensors, facts, begun)
        self._last = begun
        if wait:
            self._wait_for_write()

    def _write(self, path: Path, text: str, tensors: dict[str, Tensor], facts: dict[str, str], begun: float) -> None:
        make_folder(self.folder)
        write_flat(path, text, tensors, facts)
        self._cost = time.monotonic() - begun

    def _wait_for_write(self) -> None:
        """Wait for the snapshot that is being written, and warn if it failed."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            writing.result()
            self._failed = ""
        except OSError as error:
            self._slot = 1 - self._slot  # the other snapshot is the last intact one
            why = error.strerror or str(error)
            if why != self._failed:
                self._failed = why
                self.warn(f"a snapshot could not be written to {self.folder}: {why}; training continues without it")

    def close(self) -> None:
        """Wait until everything is on the disk."""
        self._wait_for_write()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def clear(self) -> None:
        """Delete the snapshots."""
        self.close()
        for name in self.SLOTS:
            (self.folder / name).unlink(missing_ok=True)


def copied(tensors: Mapping[str, Tensor], buffer: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
    """Return copies of ``tensors`` in row-major order, in one buffer in main memory.

    Args:
        tensors: what is copied.
        buffer: a buffer from an earlier call, which is reused if it is large enough.
    """
    sizes = {name: -(-tensor.numel() * tensor.element_size() // ALIGNED) * ALIGNED for name, tensor in tensors.items()}
    total = sum(sizes.values())
    if buffer is None or buffer.numel() < total:
        buffer = torch.empty(total, dtype=torch.uint8)
    copies, reached = {}, 0
    for name, tensor in tensors.items():
        piece = buffer[reached : reached + tensor.numel() * tensor.element_size()]
        copies[name] = piece.view(tensor.dtype).view(tensor.shape)
        copies[name].copy_(tensor)
        reached += sizes[name]
    return buffer, copies


def _ignore(text: str) -> None:
    """Print nothing, because no screen is set."""
