"""Where a run goes: into a new folder, or into that of the same run, which was interrupted."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.context.config import TrainConfig
from regraft.data.manifest import Manifest
from regraft.disk.atomic import write_json
from regraft.errors import RunFolderError, several
from regraft.run.folder import RunFolder, create_run_folder, next_free_folder, numbered_runs
from regraft.run.lock import RunLock
from regraft.screen import Screen

VERSION = 2
"""Of what lies in `resume/`; another version is not gone on with."""

A_FEW = 3


@dataclass(frozen=True)
class Place:
    """The folder of a run.

    Attributes:
        folder: where it is.
        state: what is known of an interrupted run: new, going on, or finished.
        lock: keeps other processes out.
    """

    folder: RunFolder
    state: str
    lock: RunLock


def find_place(
    config: TrainConfig, manifest: Manifest, weights: str, name: str, screen: Screen, *, again: bool = True
) -> Place:
    """Return where the run goes, with its lock taken.

    Args:
        config: what is trained.
        manifest: the photos as they are now.
        weights: hash of the backbone's weights.
        name: what a numbered folder is named after, beside the photos.
        screen: where it is said that an interrupted run is of other photos.
        again: whether an interrupted run may be gone on with.

    Raises:
        RunFolderError: the folder is of another run (everything that differs is named), another process trains into
            it, or it cannot be written.
    """
    identity = {"version": VERSION, "weights": weights}
    if config.out is not None and not config.fresh and RunFolder(config.out).config.exists() and again:
        return _explicit(config, RunFolder(config.out), manifest, identity)
    if config.out is None and not config.fresh and again:
        for folder in numbered_runs(config.photos, name):
            found = _unfinished(config, folder, manifest, identity, screen)
            if found is not None:
                return found
    out = next_free_folder(config.out) if config.out is not None and config.fresh else config.out
    folder = create_run_folder(out, config.photos, name)
    lock = _locked(folder)
    try:
        manifest.write(_photos_of(folder))
        write_json(_identity_of(folder), identity)
    except OSError as error:
        lock.release()
        clear(folder)
        raise _refused(folder, error) from error
    return Place(folder, "new", lock)


def clear(folder: RunFolder) -> None:
    """Remove what only an interrupted run needs."""
    shutil.rmtree(folder.resume, ignore_errors=True)


def _explicit(config: TrainConfig, folder: RunFolder, manifest: Manifest, identity: dict[str, Any]) -> Place:
    found = _other_arguments(config, folder) or _other_content(folder, manifest, identity)
    if found:
        raise RunFolderError(
            several(f"{folder.path} holds another run, and nothing there is overwritten", found)
            + "\n  name another folder with -o, or add --fresh to begin anew beside it"
        )
    state = "finished" if folder.finished else "going on" if folder.events.exists() else "new"
    return Place(folder, state, _locked(folder))


def _unfinished(
    config: TrainConfig, folder: RunFolder, manifest: Manifest, identity: dict[str, Any], screen: Screen
) -> Place | None:
    if folder.finished or not folder.events.exists() or _other_arguments(config, folder):
        return None
    try:
        lock = _locked(folder)
    except RunFolderError:  # the same command runs at the same time
        return None
    found = _other_content(folder, manifest, identity)
    if found:
        lock.release()
        screen.warn(f"{folder.path} was interrupted, and is left as it is: {'; '.join(found)}")
        return None
    return Place(folder, "going on", lock)


def _locked(folder: RunFolder) -> RunLock:
    try:
        return RunLock(folder.resume, folder.path).take()
    except OSError as error:
        raise _refused(folder, error) from error


def _refused(folder: RunFolder, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"cannot write to the run folder {folder.path}: {error.strerror or error}"
        "\n  make room there, or name another place with -o"
    )


def _other_arguments(config: TrainConfig, folder: RunFolder) -> list[str]:
    """Return which options of the run in ``folder`` are not those of ``config``."""
    try:
        then = json.loads(folder.config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"config.json cannot be read: {error}"]
    if not isinstance(then, dict):
        return ["config.json is not a run's"]
    now = config.arguments()
    return [
        f"--{name.replace('_', '-')}: {_said(then.get(name))} then, {_said(value)} now"
        for name, value in now.items()
        if then.get(name) != value
    ]


def _said(value: Any) -> str:
    return "not given" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _other_content(folder: RunFolder, manifest: Manifest, identity: dict[str, Any]) -> list[str]:
    """Return in what the photos and the weights differ from those that the run in ``folder`` began with."""
    found = []
    source = folder.manifest if folder.finished else _photos_of(folder)
    if source.exists():
        found += _other_photos(Manifest.read(source), manifest, labels=not folder.finished)
    if _identity_of(folder).exists() and not folder.finished:
        try:
            then = json.loads(_identity_of(folder).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return [*found, f"{_identity_of(folder).name} cannot be read"]
        if then.get("version") != identity["version"]:
            found.append(f"another version of regraft began it (state version {then.get('version')})")
        if then.get("weights") != identity["weights"]:
            found.append("the weights of the backbone are others now")
    return found


def _other_photos(then: Manifest, now: Manifest, *, labels: bool) -> list[str]:
    old = {entry.name: (entry.content, entry.label) for entry in then.entries if entry.content}
    new = {entry.name: (entry.content, entry.label) for entry in now.entries if entry.content}
    shared = [name for name in old if name in new]
    kinds = {
        "are new": [name for name in new if name not in old],
        "are gone": [name for name in old if name not in new],
        "have changed": [name for name in shared if old[name][0] != new[name][0]],
        "have another class": [name for name in shared if labels and old[name][1] != new[name][1]],
    }
    return [f"{len(names):,} photos {what}: {_few(names)}" for what, names in kinds.items() if names]


def _few(names: list[str]) -> str:
    more = f" and {len(names) - A_FEW:,} more" if len(names) > A_FEW else ""
    return ", ".join(names[:A_FEW]) + more


def _photos_of(folder: RunFolder) -> Path:
    return folder.resume / "photos.csv"


def _identity_of(folder: RunFolder) -> Path:
    return folder.resume / "identity.json"
