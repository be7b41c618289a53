"""`regraft cache --store`: the feature store that several machines share is shown, verified and compacted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from regraft.cli.output import Session
from regraft.errors import ConfigError, StorageError
from regraft.screen import Screen
from regraft.text import counted, file_size

if TYPE_CHECKING:
    from regraft.features.stores.shared.places import Place

ACTIONS = ("show", "verify", "compact")


def tend_shared_store(session: Session, action: str, address: str) -> None:
    """Do ``action`` with the shared store at ``address``, and print the result.

    Raises:
        ConfigError: a shared store does not have this action.
        MissingExtraError: pyarrow or fsspec is not installed.
        StorageError: the place cannot be read or written.
    """
    if action not in ACTIONS:
        raise ConfigError(
            f"{action} applies to the cache of this machine; a shared store has show, verify and compact\n"
            "  it has no limit: remove the folder itself when no machine needs it"
        )
    from regraft.features.stores.shared.arrow_file import arrow
    from regraft.features.stores.shared.places import place_at

    arrow()
    place, screen = place_at(address), session.screen()
    try:
        facts: dict[str, Any] = {"store": place.address, **_facts(place)}
        if action == "verify":
            facts |= _verify(place, screen)
        elif action == "compact":
            facts |= _compact(place, screen)
        else:
            screen.line("place", facts["store"])
            screen.line("size", f"{file_size(facts['bytes'])} in {counted(facts['files'], 'file')}")
    except OSError as error:
        raise StorageError(f"the shared feature store {address} cannot be used: {error}") from error
    if session.json:
        session.print_json(facts)
    elif not session.quiet and facts.get("kinds"):
        _show_kinds(session, facts["kinds"])


def _facts(place: Place) -> dict[str, Any]:
    sizes = place.sizes()
    return {"files": len(sizes), "bytes": sum(sizes.values())}


def _verify(place: Place, screen: Screen) -> dict[str, Any]:
    """Read every entry; files with damaged entries are written again without them."""
    from regraft.features.stores.shared.compaction import compact, verify

    result = verify(place)
    if result.damaged_files:
        compact(place, rewritten=result.damaged_files)
    screen.line("verified", f"{result.sound:,} intact entries · {counted(result.damaged, 'damaged part')} removed")
    kinds = [{"kind": kind.name, "entries": kind.entries, "bytes": kind.size} for kind in result.kinds]
    return {"sound": result.sound, "damaged": result.damaged, "kinds": kinds, **_facts(place)}


def _compact(place: Place, screen: Screen) -> dict[str, Any]:
    from regraft.features.stores.shared.compaction import compact

    result = compact(place)
    screen.line(
        "compact",
        f"{counted(result.files_before, 'file')} before, {result.files_after:,} now · "
        f"{counted(result.duplicates, 'copy', 'copies')} and {counted(result.damaged, 'damaged part')} removed · "
        f"{file_size(max(0, result.bytes_freed))} freed",
    )
    return {
        "files_before": result.files_before,
        "entries_written": result.entries,
        "duplicates": result.duplicates,
        "damaged": result.damaged,
        "freed": result.bytes_freed,
        **_facts(place),
    }


def _show_kinds(session: Session, kinds: Sequence[dict[str, Any]]) -> None:
    rows = [(kind["kind"], f"{kind['entries']:,}", file_size(kind["bytes"])) for kind in kinds]
    session.print("")
    session.table([("kind", "entries", "size"), *rows], right=(1, 2))
