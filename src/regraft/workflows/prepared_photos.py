"""What a training can begin with before torch is there: its import takes seconds, and photos are decoded meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from regraft.audit.photo_stats_store import PhotoStatsStore
from regraft.context.config import TrainConfig
from regraft.context.dataset import divide, gather
from regraft.data.prefetch import can_prefetch
from regraft.data.preprocessing import Preprocessing
from regraft.data.threads import workers_or_default
from regraft.features.disk_store import DiskStore
from regraft.models.catalogue import expected_preprocessing
from regraft.process import keep_freed_memory
from regraft.screen import Screen

MOST = 512
"""Photos that are decoded ahead; of the default network each takes 150 kilobytes."""

_LOOKED_UP = 4 * MOST


class Early:
    """The photos of a training, found and divided; those that the store does not know are being decoded.

    Attributes:
        photos: each on its side.
        store: where features are kept.
        own_callbacks: the user's own; they may bring torch, and then nothing is decoded ahead.

    Args:
        config: what to do.
        screen: where it is said what was found.
        objects: callbacks that the user made; they come before those that ``config`` names.

    Raises:
        ConfigError: a callback is missing or is none; said before any photo is read.
        PhotosError: the folder or the CSV is not what is needed.
    """

    def __init__(self, config: TrainConfig, screen: Screen, objects: Sequence[Any] = ()) -> None:
        keep_freed_memory()
        self.own_callbacks = [*objects, *_own_callbacks(config.callback)]
        _check_schedules(config, self.own_callbacks)
        self.store = DiskStore()
        self.store.warn = screen.warn
        self.photos = gather(config, screen)
        divide(self.photos, config)
        self._looks: PhotoStatsStore | None = None
        workers = workers_or_default(config.workers)
        preprocessing = expected_preprocessing(config.backbone, config.size) if config.weights is None else None
        if preprocessing is not None and workers and can_prefetch():
            self._looks = PhotoStatsStore(preprocessing, self.store)
            self._looks.prefetch(self._looks.missing(self.photos.usable[:_LOOKED_UP])[:MOST], workers)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let go of what was decoded and is not needed."""
        if self._looks is not None:
            self._looks.close()

    def looks(self, preprocessing: Preprocessing) -> PhotoStatsStore:
        """Return what decodes photos as ``preprocessing`` says, with what was decoded ahead where it is the same."""
        if self._looks is not None and self._looks.preprocessing != preprocessing:
            self._looks.close()
            self._looks = None
        if self._looks is None:
            return PhotoStatsStore(preprocessing, self.store)
        return self._looks


def _own_callbacks(names: Sequence[str]) -> list[Any]:
    if not names:
        return []
    from regraft.callbacks.user_callbacks import own_callbacks  # brings torch

    return own_callbacks(names)


def _check_schedules(config: TrainConfig, own: Sequence[Any]) -> None:
    if own:
        from regraft.callbacks.user_callbacks import check_schedules  # brings torch, as the callbacks have

        chosen = {name: getattr(config, name) for name in ("lr_schedule", "reduce_lr_on_plateau")}
        check_schedules(own, chosen)
