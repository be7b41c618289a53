"""`regraft cache`: what is kept of earlier runs so that it is never computed again."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from regraft.cache_dir import GRAPHS, PROBES, files_by_use
from regraft.cli.options import output_options, pass_session
from regraft.cli.output import Session
from regraft.errors import ConfigError

if TYPE_CHECKING:
    from regraft.features.disk_store import DiskStore

ACTIONS = ("show", "verify", "prune", "clear")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

_EXAMPLES = """\b
Examples:
  regraft cache
  regraft cache verify
  regraft cache prune --max 2GB
  regraft cache prune --older-than 30
  regraft cache clear"""


@cloup.command(name="cache", short_help="Show, verify, prune or clear what earlier runs computed.", epilog=_EXAMPLES)
@cloup.argument(
    "action", type=click.Choice(ACTIONS), default="show", help="What to do: show, verify, prune or clear; else show."
)
@cloup.option_group(
    "Prune",
    cloup.option(
        "--max", "most", metavar="SIZE", help="Leave at most this, such as 500MB or 2GB; least recently used go first."
    ),
    cloup.option(
        "--older-than", type=click.IntRange(min=0), metavar="DAYS", help="Remove what was not used for so many days."
    ),
)
@output_options(quiet="Say nothing but warnings.")
@pass_session
def cache(session: Session, action: str, most: str | None, older_than: int | None) -> None:
    """Show what is kept of frozen networks' work: features by photo and network, whatever the run.

    Everything in it can be computed again. Its place is REGRAFT_CACHE, or the system's place for caches.
    """
    from regraft.features.disk_store import DiskStore

    if action != "prune" and (most is not None or older_than is not None):
        raise ConfigError(f"--max and --older-than belong to prune, not to {action}: regraft cache prune …")
    screen = session.screen()
    store = DiskStore(warn=screen.warn)
    said: dict[str, Any] = {}
    if action == "verify":
        said["sound"], said["damaged"] = store.verify()
        screen.line("verified", f"{said['sound']:,} entries are sound · {said['damaged']:,} were damaged, and removed")
    elif action != "show":
        before = store.size()
        said["removed"] = store.clear() if action == "clear" else _prune(store, most, older_than)
        said["freed"] = max(0, before - store.size())
        if action == "clear":
            files = [file for _, found in _files() for file in found]
            freed = [size for size in map(_remove, files) if size is not None]
            said["removed"] += len(freed)
            said["freed"] += sum(freed)
        screen.line("removed", f"{said['removed']:,} entries · {_size(said['freed'])} given back")
    if session.json:
        session.print_json({**_facts(store), **said})
    elif action == "show" and not session.quiet:
        _show(session, store)


def _prune(store: DiskStore, most: str | None, older_than: int | None) -> int:
    size = store.bound if most is None and older_than is None else None if most is None else _bytes(most)
    return store.prune(size=size, unused_hours=None if older_than is None else 24 * older_than)


def _files() -> list[tuple[str, list[Path]]]:
    """Return the files that are kept beside the store, by what they hold; each kind has a bound of its own."""
    return [("networks as graphs", files_by_use(*GRAPHS)), ("solved probes", files_by_use(*PROBES))]


def _remove(file: Path) -> int | None:
    """Remove a file and return its bytes; None where that cannot be."""
    try:
        size = file.stat().st_size
        file.unlink()
    except OSError:
        return None
    return size


def _beside(name: str, files: list[Path]) -> dict[str, Any]:
    found = [file.stat() for file in files if file.exists()]
    used = max((one.st_mtime for one in found), default=0.0)
    size = sum(one.st_size for one in found)
    return {"kind": name, "entries": len(found), "bytes": size, "days_unused": _days(int(used // 3600))}


def _facts(store: DiskStore) -> dict[str, Any]:
    found = store.kinds()
    kinds = [
        {"kind": kind.name, "entries": kind.entries, "bytes": kind.size, "days_unused": _days(kind.used)}
        for kind in found
    ]
    return {
        "folder": str(store.folder),
        "bytes": store.size(),
        "bound": store.bound,
        "entries": sum(kind.entries for kind in found),
        "kinds": kinds,
        "beside": [_beside(name, files) for name, files in _files() if files],
    }


def _show(session: Session, store: DiskStore) -> None:
    from regraft.text import columns

    screen, facts = session.screen(), _facts(store)
    screen.line("place", facts["folder"])
    screen.line(
        "size", f"{_size(facts['bytes'])} of at most {_size(facts['bound'])}", "least recently used make room for new"
    )
    screen.line("entries", f"{facts['entries']:,}")
    rows = [
        (kind["kind"], f"{kind['entries']:,}", _size(kind["bytes"]), _ago(kind["days_unused"]))
        for kind in (*facts["kinds"], *facts["beside"])
    ]
    if rows:
        for line in ("", *columns([("of", "entries", "size", "last used"), *rows], right=(1, 2))):
            session.print(line)


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().lower())
    if match is None:
        raise ConfigError(f"--max: expected a size such as 500MB or 2GB, found {text!r}")
    return int(float(match[1]) * _UNITS[match[2]])


def _size(size: int) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"


def _days(hour: int) -> int:
    return max(0, int(time.time() // 3600 - hour) // 24)


def _ago(days: int) -> str:
    return {0: "today", 1: "yesterday"}.get(days, f"{days:,} days ago")
