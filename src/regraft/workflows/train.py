"""`train`: one call from a folder of photos to a run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.context.config import TrainConfig, resolve
from regraft.context.unused_options import unused_by_recipe
from regraft.data.manifest import Manifest
from regraft.data.selection import MovedPhotos
from regraft.data.tables.data_frame import is_data_frame, stored_frame
from regraft.distributed.world import decided_by_first, is_launched, together
from regraft.interrupts import INTERRUPTS
from regraft.models.catalogue import AUTO
from regraft.process import importing
from regraft.run.folder import RunFolder, open_run_folder
from regraft.screen import Screen, screen_for
from regraft.workflows.steps.photos_of_run import moved_photos, stored_labels
from regraft.workflows.steps.prepared_photos import PreparedPhotos
from regraft.workflows.steps.run_directory import finished_folder

if TYPE_CHECKING:
    from regraft.workflows.run import Run


def train(
    photos: Any,
    *,
    screen: Screen | None = None,
    config: Path | str | None = None,
    callbacks: Any = None,
    **options: Any,
) -> Run:
    """Train a classifier on a folder of labeled photos and return the finished run.

    Args:
        photos: a folder with one folder per class, or with ``train/``, ``val/`` and maybe ``test/`` that contain such;
            an archive (zip, tar) of such a folder; an address such as ``s3://bucket/photos``; a file or a data frame
            of labels; a data set of torchvision, PyTorch or Hugging Face; or several folders and archives in a list.
        screen: where progress and warnings go; None for the terminal. ``regraft.screen.QuietScreen()`` prints nothing.
        config: a YAML or JSON file of options, such as the ``config.json`` of an earlier run.
        callbacks: callbacks of regraft or Keras, in a list: objects, or classes as ``"module:Class"``. If the
            recipe has several trainings in epochs, each calls the same objects, before the recipe's own callbacks.
        **options: the options of ``regraft train`` by name, such as ``recipe="fine-tune"`` or ``budget="10m"``; see
            `regraft.context.config.TrainConfig`. ``labels`` may be a data frame of pandas or polars, too.

    Raises:
        ConfigError: options are invalid; one message names all of them.
        PhotosError: the folder or the CSV is invalid, or the photos cannot be split.
        BackboneError, WeightsError: the network is unavailable.
        RunFolderError: the run folder contains something else, or cannot be written.
        StorageError: the model could not be written to the run folder; the message names where it was saved instead.

    An interrupted run of the same arguments and photos is resumed, and ends with the weights that it would have had.
    """
    file = Path(config) if config is not None else None
    objects: tuple[Any, ...] = ()
    if callbacks is not None:
        from regraft.callbacks.user_callbacks import given_callbacks  # imports torch

        user_callbacks = given_callbacks(callbacks)
        objects = user_callbacks.objects
        options["callbacks"] = user_callbacks.descriptions or None
        options["callback"] = (*_as_tuple(options.get("callback")), *user_callbacks.names) or None
    if is_data_frame(options.get("labels")):
        options["labels"] = stored_frame(options["labels"])
    screen = screen_for() if screen is None else screen
    if not isinstance(photos, (str, Path, list, tuple)):
        from regraft.workflows.steps.stored_dataset import with_stored_dataset  # for data sets only

        photos, options["labels"] = with_stored_dataset(photos, options.get("labels"), screen)
    resolved = resolve(file, photos=photos, **options)
    return train_config(resolved, screen, callbacks=objects)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return () if value is None else tuple(value) if isinstance(value, (list, tuple)) else (value,)


def train_config(
    config: TrainConfig,
    screen: Screen,
    started: float | None = None,
    callbacks: Sequence[Any] = (),
    moved: MovedPhotos | None = None,
) -> Run:
    """Train as the resolved ``config`` says, and return the finished run.

    Args:
        config: the configuration.
        screen: where progress and warnings go.
        started: start of the process, in seconds since 1970; the budget runs from then. None for now.
        callbacks: the callback objects that ``config`` describes.
        moved: where photos are now, if they are no longer in the folder of ``config``.

    Raises:
        ConfigError: the callbacks are not those that ``config`` describes.
    """
    started = time.time() if started is None else started
    if is_launched():
        from regraft.workflows.steps.workers import configured_for_workers  # imports torch

        config = configured_for_workers(config)
    for note in unused_by_recipe(config):
        screen.warn(note)
    if config.callbacks or callbacks:
        from regraft.callbacks.user_callbacks import check_given

        finished = config.out is not None and not config.fresh and RunFolder(config.out).finished
        check_given(config.callbacks or (), callbacks, optional=finished)
    with (
        INTERRUPTS.handled(),
        INTERRUPTS.after(config.stop_after),
        together(),
        PreparedPhotos(config, screen, callbacks, moved) as prepared,
    ):
        choice = None
        if config.backbone == AUTO:
            from regraft.workflows.steps.choose_backbone import with_chosen_backbone  # imports torch

            config, choice = with_chosen_backbone(config, prepared, screen, started)
        finished_run = decided_by_first(lambda: _finished_run(config, prepared.dataset.manifest, screen))
        if finished_run is not None:
            return finished_run
        with importing():
            from regraft.workflows.run_training import run_training  # imports torch, while photos are decoded
        return run_training(config, screen, prepared, started, choice)


def _finished_run(config: TrainConfig, manifest: Manifest, screen: Screen) -> Run | None:
    """Return the same run if it is finished, and print that; otherwise None."""
    from regraft.workflows.run import Run

    folder = finished_folder(config, manifest)
    if folder is None:
        return None
    screen.line("finished", f"{folder.path} has this result already: same options, same photos")
    screen.line("", "add --fresh to train again, in a new folder")
    return Run(folder.path, config, folder.read_metrics())


def resume(
    folder: Path | str,
    *,
    screen: Screen | None = None,
    started: float | None = None,
    callbacks: Any = None,
    photos: Path | str | None = None,
    **options: Any,
) -> Run:
    """Resume an interrupted run, and return it when it is finished; return a finished run unchanged.

    Args:
        folder: the run folder.
        screen: where progress and warnings go; None for the terminal.
        started: when the process began (seconds since 1970); None for now.
        callbacks: objects like those that the run was given; callbacks given by name are created from their names.
        photos: the folder or archive where the photos are now, if they have moved; they are found by their content.
        **options: options that do not change what is trained, such as ``stop_after="20m"`` or ``workers=2``.

    Raises:
        RunFolderError: this is not a run folder, another process trains into it, or photos, weights or the version of
            regraft have changed; every change is named.
        PhotosError: photos are missing.
        ConfigError: the run was given callback objects, and ``callbacks`` do not match them.
    """
    place = open_run_folder(Path(folder))
    stored = {name: value for name, value in place.read_config().items() if name != "format"}
    config = resolve(None, **{**stored, **options, "out": place.path, "stored_labels": stored_labels(place)})
    objects: tuple[Any, ...] = ()
    if callbacks is not None:
        from regraft.callbacks.user_callbacks import given_callbacks

        objects = given_callbacks(callbacks).objects
    screen = screen_for() if screen is None else screen
    moved = None if photos is None else moved_photos(place, Path(photos), config.workers)
    return train_config(config, screen, started, objects, moved)
