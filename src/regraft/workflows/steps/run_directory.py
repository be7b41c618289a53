"""The folder of a run: a new one, or that of the same run if it was interrupted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.context.config import TrainConfig
from regraft.data.manifest import Manifest
from regraft.disk.atomic import write_json
from regraft.errors import RunFolderError, several
from regraft.run.environment import package_version
from regraft.run.folder import RunFolder
from regraft.run.lock import RunLock
from regraft.run.new_folder import create_run_folder, next_free_folder, numbered_runs
from regraft.screen import Screen

VERSION = 2
"""Version of the files in `resume/`. Runs with another version cannot be resumed."""

A_FEW = 3


@dataclass(frozen=True)
class RunDirectory:
    """The folder of a run.

    Attributes:
        folder: the folder.
        resumed: whether an interrupted run is continued.
        lock: the lock that keeps other processes out; this process has acquired it.
    """

    folder: RunFolder
    resumed: bool
    lock: RunLock


@contextmanager
def open_or_create_run_directory(
    config: TrainConfig, manifest: Manifest, weights: str, name: str, screen: Screen, *, resume: bool = True
) -> Iterator[RunDirectory]:
    """Yield the folder of the run, locked until the block ends.

    Args:
        config: the configuration.
        manifest: the photos as they are now.
        weights: hash of the backbone's weights.
        name: middle part of the name of a numbered folder.
        screen: gets a warning if an interrupted run cannot be resumed.
        resume: whether an interrupted run may be resumed.

    Raises:
        RunFolderError: the folder belongs to another run (every difference is named), another process trains into it,
            or it cannot be written.
    """
    directory = _find(config, manifest, weights, name, screen, resume=resume)
    try:
        yield directory
    finally:
        directory.lock.release()


def finished_folder(config: TrainConfig, manifest: Manifest) -> RunFolder | None:
    """Return the folder of the same run if it is finished; otherwise None.

    That is the folder of ``config``, or without one the newest numbered folder. Numbered runs of another version of
    regraft, and runs that are repeated from their ``config.json``, are trained again. Files that only resuming needs
    are removed.

    Raises:
        RunFolderError: another process is about to finish it.
    """
    if config.fresh:
        return None
    if config.out is not None:
        folders = [RunFolder(config.out)]
    elif config.choices or config.callbacks:
        return None
    else:
        folders = [one for one in numbered_runs(config.photos, config.recipe) if _is_up_to_date(config, one)]
    for folder in folders:
        if not folder.config.exists() or not folder.finished:
            continue
        if _changed_arguments(config, folder) or _changed_content(folder, manifest, {}):
            continue
        _locked(folder).release()
        clear(folder)
        return folder
    return None


def _is_up_to_date(config: TrainConfig, folder: RunFolder) -> bool:
    """Return whether a run would end the same today: this version of regraft, and files that have not changed since."""
    try:
        environment = json.loads(folder.environment.read_text(encoding="utf-8"))
        finished = folder.metrics.stat().st_mtime
        files = [path for path in (config.labels, config.decisions, config.weights) if path is not None]
        return environment["packages"]["regraft"] == package_version("regraft") and all(
            path.stat().st_mtime <= finished for path in files
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def check_outside(out: Path, photos: Path) -> None:
    """Refuse a folder inside the photos: the next run would take its files for photos.

    Raises:
        RunFolderError: ``out`` lies inside ``photos``.
    """
    if out.resolve().is_relative_to(photos.resolve()):
        raise RunFolderError(f"{out} lies inside the photos; nothing is written there\n  name a place outside with -o")


def clear(folder: RunFolder) -> None:
    """Remove the files that only an interrupted run needs."""
    shutil.rmtree(folder.resume, ignore_errors=True)


def _find(
    config: TrainConfig, manifest: Manifest, weights: str, name: str, screen: Screen, *, resume: bool
) -> RunDirectory:
    identity = {"version": VERSION, "weights": weights}
    if config.out is not None and not config.fresh and RunFolder(config.out).config.exists() and resume:
        return _named(config, RunFolder(config.out), manifest, identity)
    if config.out is None and not config.fresh and resume:
        for folder in numbered_runs(config.photos, name):
            interrupted = _interrupted(config, folder, manifest, identity, screen)
            if interrupted is not None:
                return interrupted
    out = next_free_folder(config.out) if config.out is not None and config.fresh else config.out
    folder = create_run_folder(out, config.photos, name)
    lock = _locked(folder)
    try:
        manifest.write(_photos_of(folder))
        write_json(_identity_of(folder), identity)
    except OSError as error:
        lock.release()
        clear(folder)
        raise _not_writable(folder, error) from error
    return RunDirectory(folder, False, lock)


def _named(config: TrainConfig, folder: RunFolder, manifest: Manifest, identity: dict[str, Any]) -> RunDirectory:
    """Return the directory of the run in the folder that ``-o`` names."""
    changes = _changed_arguments(config, folder) or _changed_content(folder, manifest, identity)
    if changes:
        raise RunFolderError(
            several(f"{folder.path} belongs to another run and was not changed", changes)
            + "\n  name another folder with -o, or add --fresh to start a new run next to it"
        )
    lock = _locked(folder)
    if folder.finished:
        lock.release()
        raise RunFolderError(
            f"{folder.path} has just been finished by another process\n  run the same command again to see it"
        )
    return RunDirectory(folder, folder.events.exists(), lock)


def _interrupted(
    config: TrainConfig, folder: RunFolder, manifest: Manifest, identity: dict[str, Any], screen: Screen
) -> RunDirectory | None:
    """Return the directory of a numbered folder if it contains the same run, interrupted; otherwise None."""
    if folder.finished or not folder.events.exists() or _changed_arguments(config, folder):
        return None
    try:
        lock = _locked(folder)
    except RunFolderError:  # the same command is running
        return None
    changes = _changed_content(folder, manifest, identity)
    if changes:
        lock.release()
        screen.warn(f"not resuming {folder.path}: {'; '.join(changes)}")
        return None
    return RunDirectory(folder, True, lock)


def _locked(folder: RunFolder) -> RunLock:
    try:
        return RunLock(folder.resume, folder.path).take()
    except OSError as error:
        raise _not_writable(folder, error) from error


def _not_writable(folder: RunFolder, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"cannot write to the run folder {folder.path}: {error.strerror or error}"
        "\n  free some space there, or name another folder with -o"
    )


def _changed_arguments(config: TrainConfig, folder: RunFolder) -> list[str]:
    """Return which options differ between the run in ``folder`` and ``config``."""
    try:
        then = json.loads(folder.config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"config.json cannot be read: {error}"]
    if not isinstance(then, dict):
        return ["config.json does not belong to a run"]
    now = config.arguments()
    return [
        f"--{name.replace('_', '-')}: {_as_text(then.get(name))} then, {_as_text(value)} now"
        for name, value in now.items()
        if then.get(name) != value
    ]


def _as_text(value: Any) -> str:
    return "not given" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _changed_content(folder: RunFolder, manifest: Manifest, identity: dict[str, Any]) -> list[str]:
    """Return how the photos and the weights have changed since the run in ``folder`` was started."""
    changes = []
    source = folder.manifest if folder.finished else _photos_of(folder)
    if source.exists():
        changes += _changed_photos(Manifest.read(source), manifest)
    if _identity_of(folder).exists() and not folder.finished:
        try:
            then = json.loads(_identity_of(folder).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return [*changes, f"{_identity_of(folder).name} cannot be read"]
        if then.get("version") != identity["version"]:
            changes.append(f"another version of regraft started it (state version {then.get('version')})")
        if then.get("weights") != identity["weights"]:
            changes.append("the backbone weights have changed since it was interrupted")
    return changes


def _changed_photos(then: Manifest, now: Manifest) -> list[str]:
    old = {entry.name: (entry.content, entry.label) for entry in then.entries if entry.content}
    new = {entry.name: (entry.content, entry.label) for entry in now.entries if entry.content}
    shared = [name for name in old if name in new]
    used = {entry.name for entry in then.usable} & {entry.name for entry in now.usable}
    kinds = {
        "are new": [name for name in new if name not in old],
        "are gone": [name for name in old if name not in new],
        "have changed": [name for name in shared if old[name][0] != new[name][0]],
        "have another class": [name for name in shared if name in used and old[name][1] != new[name][1]],
    }
    return [f"{len(names):,} photos {what}: {_few(names)}" for what, names in kinds.items() if names]


def _few(names: list[str]) -> str:
    more = f" and {len(names) - A_FEW:,} more" if len(names) > A_FEW else ""
    return ", ".join(names[:A_FEW]) + more


def _photos_of(folder: RunFolder) -> Path:
    return folder.resume / "photos.csv"


def _identity_of(folder: RunFolder) -> Path:
    return folder.resume / "identity.json"
