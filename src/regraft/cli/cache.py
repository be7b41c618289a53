"""`regraft cache`: the results of earlier runs that later runs reuse."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from regraft.cache_dir import GRAPHS, PIXELS, PROBES, SHARED, cache_folder, files_by_use
from regraft.cli.cluster_options import store_option
from regraft.cli.options import output_options, pass_session
from regraft.cli.output import Session
from regraft.errors import ConfigError
from regraft.text import file_size

if TYPE_CHECKING:
    from regraft.features.stores.disk_store import DiskStore

ACTIONS = ("show", "verify", "prune", "clear", "compact")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

_EXAMPLES = """\b
Examples:
  regraft cache
  regraft cache verify
  regraft cache prune --max 2GB
  regraft cache prune --older-than 30
  regraft cache clear
  regraft cache compact --store /shared/features"""


@cloup.command(name="cache", short_help="Show, verify, prune, clear or compact the cache.", epilog=_EXAMPLES)
@cloup.argument(
    "action", type=click.Choice(ACTIONS), default="show", help="show (the default), verify, prune, clear or compact."
)
@cloup.option_group(
    "Prune",
    cloup.option(
        "--max",
        "most",
        metavar="SIZE",
        help="Size to keep, such as 500MB or 2GB; least recently used entries are removed.",
    ),
    cloup.option(
        "--older-than",
        type=click.IntRange(min=0),
        metavar="DAYS",
        help="Remove entries not used for DAYS days.",
    ),
)
@cloup.option_group("Shared store", store_option())
@output_options(quiet="Print only warnings.")
@pass_session
def cache(session: Session, action: str, most: str | None, older_than: int | None, store: str | None) -> None:
    """Show or clean up the cache: features, decoded photos, compiled networks and solved probes, shared by all runs.

    Everything in it can be recomputed. It is in the folder REGRAFT_CACHE, or in the system's folder for caches. With
    --store, show, verify and compact a feature store that several machines share instead.
    """
    if action != "prune" and (most is not None or older_than is not None):
        raise ConfigError(f"--max and --older-than apply to prune, not to {action}: regraft cache prune …")
    if store is not None:
        from regraft.cli.shared_cache import tend_shared_store

        tend_shared_store(session, action, store)
        return
    if action == "compact":
        raise ConfigError("compact applies to a shared store: regraft cache compact --store ADDRESS")
    _tend(session, action, most, older_than)


def _tend(session: Session, action: str, most: str | None, older_than: int | None) -> None:
    """Do ``action`` with the cache of this machine."""
    from regraft.features.stores.disk_store import DiskStore

    screen = session.screen()
    store, pixels = DiskStore(warn=screen.warn), DiskStore(cache_folder() / PIXELS, warn=screen.warn)
    result: dict[str, Any] = {}
    if action == "verify":
        result["sound"], result["damaged"] = (sum(n) for n in zip(store.verify(), _verified(pixels), strict=True))
        screen.line("verified", f"{result['sound']:,} intact entries · {result['damaged']:,} damaged entries removed")
    elif action != "show":
        before = store.size() + pixels.size()
        clear = action == "clear"
        result["removed"] = _clear(store, pixels) if clear else _prune(store, pixels, most, older_than)
        result["freed"] = max(0, before - store.size() - pixels.size())
        if action == "clear":
            sizes = [size for _, files in _files() for size in map(_remove, files) if size is not None]
            result["removed"] += len(sizes)
            result["freed"] += sum(sizes)
        screen.line("removed", f"{result['removed']:,} entries · {file_size(result['freed'])} freed")
    if session.json:
        session.print_json({**_facts(store, pixels), **result})
    elif action == "show" and not session.quiet:
        _show(session, store, pixels)


def _verified(pixels: DiskStore) -> tuple[int, int]:
    """Return the numbers of sound and of damaged decoded photos; a store that does not exist is not created."""
    return pixels.verify() if pixels.size() else (0, 0)


def _clear(store: DiskStore, pixels: DiskStore) -> int:
    return store.clear() + (pixels.clear() if pixels.size() else 0)


def _prune(store: DiskStore, pixels: DiskStore, most: str | None, older_than: int | None) -> int:
    """Remove entries, and return their number; decoded photos are removed before features, which cost more."""
    hours = None if older_than is None else 24 * older_than
    if most is None:
        stores = (store, pixels) if pixels.size() else (store,)
        return sum(one.prune(size=one.bound if hours is None else None, unused_hours=hours) for one in stores)
    size = _bytes(most)
    removed = store.prune(size=size, unused_hours=hours)
    if pixels.size():
        removed += pixels.prune(size=max(0, size - store.size()), unused_hours=hours)
    return removed


def _files() -> list[tuple[str, list[Path]]]:
    """Return the cached files outside the feature store, by kind; each kind has a limit of its own."""
    return [
        ("networks as graphs", files_by_use(*GRAPHS)),
        ("solved probes", files_by_use(*PROBES)),
        ("copies of shared stores", files_by_use(SHARED, "*/*.arrow")),
    ]


def _remove(file: Path) -> int | None:
    """Remove a file and return its size in bytes, or None if that fails."""
    try:
        size = file.stat().st_size
        file.unlink()
    except OSError:
        return None
    return size


def _file_facts(name: str, files: list[Path]) -> dict[str, Any]:
    stats = [file.stat() for file in files if file.exists()]
    used = max((one.st_mtime for one in stats), default=0.0)
    size = sum(one.st_size for one in stats)
    return {"kind": name, "entries": len(stats), "bytes": size, "days_unused": _days(int(used // 3600))}


def _kinds(store: DiskStore) -> list[dict[str, Any]]:
    return [
        {"kind": kind.name, "entries": kind.entries, "bytes": kind.size, "days_unused": _days(kind.used)}
        for kind in store.kinds()
    ]


def _facts(store: DiskStore, pixels: DiskStore) -> dict[str, Any]:
    kinds = _kinds(store)
    return {
        "folder": str(store.folder),
        "bytes": store.size(),
        "bound": store.bound,
        "entries": sum(kind["entries"] for kind in kinds),
        "kinds": kinds,
        "beside": [*_kinds(pixels), *(_file_facts(name, files) for name, files in _files() if files)],
    }


def _show(session: Session, store: DiskStore, pixels: DiskStore) -> None:
    screen, facts = session.screen(), _facts(store, pixels)
    screen.line("place", facts["folder"])
    used = f"{file_size(facts['bytes'])} of at most {file_size(facts['bound'])}"
    screen.line("size", used, "least recently used entries are dropped first")
    screen.line("entries", f"{facts['entries']:,}")
    rows = [
        (kind["kind"], f"{kind['entries']:,}", file_size(kind["bytes"]), _ago(kind["days_unused"]))
        for kind in (*facts["kinds"], *facts["beside"])
    ]
    if rows:
        session.print("")
        session.table([("kind", "entries", "size", "last used"), *rows], right=(1, 2))


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().lower())
    if match is None:
        raise ConfigError(f"--max: expected a size such as 500MB or 2GB, found {text!r}")
    return int(float(match[1]) * _UNITS[match[2]])


def _days(hour: int) -> int:
    return max(0, int(time.time() // 3600 - hour) // 24)


def _ago(days: int) -> str:
    return {0: "today", 1: "yesterday"}.get(days, f"{days:,} days ago")
