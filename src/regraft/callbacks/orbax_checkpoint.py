"""A stand-in for Keras's ``OrbaxCheckpoint``, which regraft does not have."""

from __future__ import annotations

from typing import Any

from regraft.errors import TrainingError


class OrbaxCheckpoint:
    """Raise an error that names the callbacks to use instead.

    Keras's class writes checkpoints in the format of JAX's Orbax, for models that are distributed over many machines.

    Raises:
        TrainingError: always.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TrainingError(
            "OrbaxCheckpoint is not available: its format needs JAX. Use BackupAndRestore('folder') to resume with the "
            "state of optimizer and callbacks, or ModelCheckpoint('folder/{epoch}.safetensors') for a file per epoch"
        )
