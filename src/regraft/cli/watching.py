"""`regraft predict --watch`: photos that arrive in folders, each predicted once, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.errors import ConfigError, PhotosError
from regraft.screen import Screen

if TYPE_CHECKING:
    from regraft.inference.prediction import AnyPredictor, Prediction

INTERVAL = 0.5
"""Minimum seconds between two listings of the folders; a listing takes at most a tenth of the time."""


def check_watched(folders: Sequence[str], *, json: bool, review: bool) -> None:
    """Check that ``--watch`` has folders, and no option that needs all photos at once.

    Raises:
        ConfigError: another option contradicts it.
        PhotosError: an argument is not a folder.
    """
    if json or review:
        option = "--json" if json else "--review"
        raise ConfigError(f"--watch does not end by itself, and {option} needs all photos; use --format jsonl")
    for folder in folders:
        if not Path(folder).is_dir():
            raise PhotosError(f"--watch {folder}: expected a folder in which photos arrive")


def watched(
    folders: Sequence[str],
    predictor: AnyPredictor,
    screen: Screen,
    *,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[Prediction]:
    """Yield predictions for the photos in folders, and for those that arrive later, without end.

    A photo that cannot be read is tried again later, because it may be incomplete. A photo that is removed before its
    turn has no prediction.

    Args:
        folders: the folders.
        predictor: predicts them.
        screen: where messages go.
        clock: returns seconds.
        wait: waits for some seconds.
    """
    from regraft.inference.folder_watch import FolderWatch

    watch = FolderWatch([Path(folder) for folder in folders])
    screen.line("watch", ", ".join(folders), "Ctrl-C ends it")
    while True:
        started = clock()
        arrived = watch.poll(started)
        listing = clock() - started
        for prediction in predictor.stream(arrived):
            if prediction.error is None or not watch.postpone(Path(prediction.path), clock()):
                yield prediction
        wait(max(INTERVAL, 10 * listing))
