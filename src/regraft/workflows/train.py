"""`train`: one call from a folder of photos to a run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.context.config import TrainConfig, resolve
from regraft.interrupts import INTERRUPTS
from regraft.process import importing
from regraft.run.folder import RunFolder, open_run_folder
from regraft.screen import Screen, screen_for
from regraft.workflows.prepared_photos import Early

if TYPE_CHECKING:
    from regraft.workflows.run import Run


def train(
    photos: Path | str,
    *,
    screen: Screen | None = None,
    config: Path | str | None = None,
    callbacks: Any = None,
    **options: Any,
) -> Run:
    """Train a classifier on a folder of labelled photos and return the finished run.

    Args:
        photos: a folder with one folder per class, or with ``train/`` and ``val/`` [and ``test/``] that hold them.
        screen: where progress is said; None for the terminal. ``regraft.screen.QuietScreen()`` says nothing.
        config: a YAML or JSON file of options, such as the ``config.json`` of an earlier run.
        callbacks: callbacks of regraft or Keras, in a list: objects, or classes as ``"module:Class"``. Each training in
            epochs of the recipe calls the same objects, one training after the other, before the recipe's own.
        **options: the options of ``regraft train`` by name, such as ``recipe="fine-tune"`` or ``budget="10m"``; see
            `regraft.context.config.TrainConfig`.

    Raises:
        ConfigError: wrong options, all in one message.
        PhotosError: the folder is not what is needed.
        BackboneError, WeightsError: the network is unavailable.
        RunFolderError: the run folder holds something else, or cannot be written.
        StorageError: the disk refused the finished model; the message says where it is instead.

    An interrupted run of the same arguments and photos is resumed, and ends with the weights that it would have had.
    """
    file = Path(config) if config is not None else None
    objects: tuple[Any, ...] = ()
    if callbacks is not None:
        from regraft.callbacks.user_callbacks import given_callbacks  # brings torch

        given = given_callbacks(callbacks)
        objects = given.objects
        options["callbacks"] = given.descriptions or None
        options["callback"] = (*_names(options.get("callback")), *given.names) or None
    resolved = resolve(file, photos=photos, **options)
    return train_config(resolved, screen_for() if screen is None else screen, callbacks=objects)


def _names(given: Any) -> tuple[Any, ...]:
    return () if given is None else tuple(given) if isinstance(given, (list, tuple)) else (given,)


def train_config(
    config: TrainConfig, screen: Screen, started: float | None = None, callbacks: Sequence[Any] = ()
) -> Run:
    """Train as the resolved ``config`` says.

    Args:
        config: what to do.
        screen: where progress is said.
        started: when the process began (seconds since 1970), which is when the budget begins to run; None for now.
        callbacks: the callback objects that ``config`` describes.

    Raises:
        ConfigError: the callbacks are not those that ``config`` describes.
    """
    started = time.time() if started is None else started
    if config.callbacks or callbacks:
        from regraft.callbacks.user_callbacks import check_given

        finished = config.out is not None and not config.fresh and RunFolder(config.out).finished
        check_given(config.callbacks or (), callbacks, optional=finished)
    with INTERRUPTS.handled(), INTERRUPTS.after(config.stop_after), Early(config, screen, callbacks) as early:
        with importing():
            from regraft.workflows.run_training import carry_out  # brings torch, while photos are decoded
        return carry_out(config, screen, early, started)


def resume(
    folder: Path | str,
    *,
    screen: Screen | None = None,
    started: float | None = None,
    callbacks: Any = None,
    **options: Any,
) -> Run:
    """Resume an interrupted run, and return it when it is finished; a finished one is returned as it is.

    Args:
        folder: the run folder.
        screen: where progress is said; None for the terminal.
        started: when the process began (seconds since 1970); None for now.
        callbacks: objects like those that the run was given; those by name it finds itself.
        **options: options that do not change what is trained, such as ``stop_after="20m"`` or ``workers=2``.

    Raises:
        RunFolderError: this is no run folder, another process trains into it, or photos, weights or the version of
            regraft differ now; everything that differs is named.
        ConfigError: the run was given callback objects, and ``callbacks`` are not like them.
    """
    place = open_run_folder(Path(folder))
    kept = {name: value for name, value in place.read_config().items() if name != "format"}
    config = resolve(None, **{**kept, **options, "out": place.path})
    objects: tuple[Any, ...] = ()
    if callbacks is not None:
        from regraft.callbacks.user_callbacks import given_callbacks

        objects = given_callbacks(callbacks).objects
    return train_config(config, screen_for() if screen is None else screen, started, objects)
