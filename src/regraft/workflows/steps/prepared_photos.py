"""The photos of a run, found and decoded while torch is imported; the import takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from regraft.audit.photo_stats_store import PhotoStatsStore
from regraft.context.config import TrainConfig
from regraft.context.dataset import load_dataset
from regraft.data.decoding.rendering import measure_rendering
from regraft.data.loading.prefetch import can_prefetch
from regraft.data.preprocessing import Preprocessing
from regraft.data.selection import MovedPhotos
from regraft.data.threads import workers_or_default
from regraft.distributed.world import current
from regraft.features.stores.open_store import open_store
from regraft.models.catalogue import expected_preprocessing
from regraft.process import keep_freed_memory
from regraft.screen import Screen
from regraft.workflows.steps.tracked_run import tracking_callbacks

MAX_PREFETCHED = 512
"""Maximum photos that are decoded ahead; each takes 150 kilobytes of memory with the default network."""

_LOOKED_UP = 4 * MAX_PREFETCHED


class PreparedPhotos:
    """The photos of a run; those that are not in the feature store are decoded in the background.

    Attributes:
        dataset: the photos, not split yet.
        rendering: the rendering that suits the photos.
        store: the cache of features.
        user_callbacks: callbacks of the user. They may import torch, and then nothing is decoded ahead.

    Args:
        config: the configuration.
        screen: where progress goes.
        objects: callback objects of the user; they come before those that ``config`` names.
        moved: where photos are now, if they are no longer in the folder of ``config``.

    Raises:
        ConfigError: a callback is missing, or is not a callback; raised before any photo is read.
        PhotosError: the folder or the CSV is invalid, or the photos cannot be split.
    """

    def __init__(
        self,
        config: TrainConfig,
        screen: Screen,
        objects: Sequence[Any] = (),
        moved: MovedPhotos | None = None,
    ) -> None:
        keep_freed_memory()
        self.user_callbacks = [*objects, *_callbacks_by_name(config.callback), *tracking_callbacks(config)]
        _check_schedules(config, self.user_callbacks)
        self.store = open_store(config.store, warn=screen.warn)
        self.dataset = load_dataset(config, screen, moved)
        workers = workers_or_default(config.workers)
        measured = measure_rendering(self.dataset.usable, workers=workers)
        self.rendering = measured.rendering
        for note in measured.notes:
            screen.line("", note)
        self._prefetched: PhotoStatsStore | None = None
        preprocessing = expected_preprocessing(config.networks[0], config.size) if config.weights is None else None
        if preprocessing is not None and workers and can_prefetch() and current().size == 1:
            stats = self._prefetched = PhotoStatsStore(preprocessing.rendered(self.rendering), self.store)
            stats.prefetch(stats.missing(self.dataset.usable[:_LOOKED_UP])[:MAX_PREFETCHED], workers)

    def __enter__(self) -> Self:
        """Return these photos."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop decoding, and free what was decoded and not used."""
        if self._prefetched is not None:
            self._prefetched.close()

    def photo_stats(self, preprocessing: Preprocessing) -> PhotoStatsStore:
        """Return the decoder for ``preprocessing``, with the photos decoded ahead if they were decoded for it."""
        prefetched = self._prefetched
        if prefetched is not None and prefetched.preprocessing == preprocessing:
            return prefetched
        if prefetched is not None:
            prefetched.close()
        return PhotoStatsStore(preprocessing, self.store)


def _callbacks_by_name(names: Sequence[str]) -> list[Any]:
    if not names:
        return []
    from regraft.callbacks.user_callbacks import own_callbacks  # imports torch

    return own_callbacks(names)


def _check_schedules(config: TrainConfig, user_callbacks: Sequence[Any]) -> None:
    if user_callbacks:
        from regraft.callbacks.user_callbacks import check_schedules  # imports torch, as the callbacks did

        chosen = {name: getattr(config, name) for name in ("lr_schedule", "reduce_lr_on_plateau")}
        check_schedules(user_callbacks, chosen)
