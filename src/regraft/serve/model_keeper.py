"""The file of the model under watch: a new file is loaded and takes over, a broken one is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from regraft.errors import RegraftError
from regraft.models.model_place import find_model_file
from regraft.process import release_freed_memory, skip_present_objects
from regraft.serve.pipeline import Pipeline
from regraft.serve.served_model import ServedModel

CHECK_EVERY = 1.0
"""Seconds between two looks at the file."""


class ModelKeeper:
    """Watches the file of a model.

    Args:
        path: a run folder, or a model file.
        load: returns the model of the file.
        report: called with a message about each change.

    Attributes:
        refused: the reason for which the present file is not in use; None if it is in use.
    """

    def __init__(self, path: Path, load: Callable[[], ServedModel], report: Callable[[str], None]) -> None:
        self._path, self._load, self._report = path, load, report
        self.refused: str | None = None
        self._seen = _state_of(path)
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, pipeline: Pipeline) -> None:
        """Watch the file from now on, in a thread; new models answer the requests of ``pipeline``."""
        self._threads.append(threading.Thread(target=self._watch, args=(pipeline,), daemon=True))
        self._threads[-1].start()

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    def look(self, pipeline: Pipeline) -> bool:
        """Load the file if it has changed since the last look, and return whether a new model has taken over."""
        state = _state_of(self._path)
        if state == self._seen:
            return False
        self._seen = state
        try:
            model = self._load()
        except Exception as error:  # noqa: BLE001  (the model in use stays, whatever is wrong with the file)
            self.refused = str(error) if isinstance(error, RegraftError) else f"{type(error).__name__}: {error}"
            self._report(f"the changed model is refused, and the one in use stays: {self.refused}")
            return False
        self.refused = None
        replaces = model.sha256 != pipeline.model.sha256
        if replaces:
            pipeline.replace_model(model)
            self._report(f"the changed model is in use now: {model.file}, SHA-256 {model.sha256[:12]}")
            self._report(model.engine)
        return replaces

    def _watch(self, pipeline: Pipeline) -> None:
        was_replaced = False
        while not self._end.wait(CHECK_EVERY):
            if was_replaced:  # the old model has answered its last requests
                skip_present_objects(recheck=True)  # its cycles of references, if it has any, are freed
                release_freed_memory()
            was_replaced = self.look(pipeline)


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when the file of a model changes; None if there is no file."""
    try:
        status = find_model_file(path).stat()
    except (OSError, RegraftError):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
