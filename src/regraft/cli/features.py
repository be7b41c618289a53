"""`regraft features`: the frozen features of photos, computed ahead of trainings, in shards if there are many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloup

from regraft.cli.cluster_options import on_option, store_option
from regraft.cli.exits import DONE
from regraft.cli.options import (
    PATH,
    Choice,
    device_option,
    network_options,
    output_options,
    pass_session,
    workers_option,
)
from regraft.cli.output import Session
from regraft.cli.photo_options import label_options, take_label_options
from regraft.screen import Screen
from regraft.text import counted

if TYPE_CHECKING:
    from regraft.features.stores.store import FeatureStore
    from regraft.workflows.feature_pass import PassPhotos

_EXAMPLES = """\b
Examples:
  regraft features photos
  regraft features photos --shard 3/16 --store /shared/features
  regraft features photos --list missing
  sbatch --array=1-16 --wrap 'regraft features photos --shard $SLURM_ARRAY_TASK_ID/16 --store /shared/features'"""


@cloup.command(name="features", short_help="Compute the features of many photos ahead.", epilog=_EXAMPLES)
@cloup.argument(
    "photos",
    type=PATH,
    nargs=-1,
    required=True,
    help="A folder with one folder per class, or with train/ and val/ [and test/]; an archive of one; several of them.",
)
@cloup.option_group(
    "Pass",
    cloup.option(
        "--shard",
        metavar="I/N",
        help="Compute part I of N: the photos whose content falls into it. Parts may run at the same time, anywhere.",
    ),
    store_option(),
    cloup.option(
        "--list",
        "listed",
        type=Choice(["missing", "done"]),
        help="Compute nothing; print the photos whose features are missing, or those that are done.",
    ),
    cloup.option(
        "--engine",
        metavar="NAME",
        help="Engine of the network, as regraft tune prints it. Name one if machines of several kinds share the work. "
        "Default: the one that finishes all photos soonest here.",
    ),
)
@cloup.option_group("Photos", *label_options())
@network_options()
@cloup.option_group("Machine", device_option(), workers_option(), on_option())
@output_options(quiet="Print only warnings, and the names of --list.")
@pass_session
def features(
    session: Session,
    /,
    photos: tuple[Path, ...],
    shard: str | None,
    store: str | None,
    listed: str | None,
    cluster: str | None,
    **options: Any,
) -> int:
    """Compute the frozen features of PHOTOS into the store, where train and check find them.

    What is in the store is not computed again, so a call that was killed is simply repeated. A photo that cannot be
    decoded is named, and left out.
    """
    from regraft.data.selection import PhotoSelection
    from regraft.data.shards import Shard
    from regraft.features.stores.open_store import open_store
    from regraft.workflows.feature_pass import PassOptions, prepare_pass, run_pass
    from regraft.workflows.steps.pass_network import on_cluster

    part = Shard() if shard is None else Shard.parse(shard)
    screen = session.screen(on_stderr=listed is not None)
    opened = open_store(store, warn=screen.warn)
    selection = PhotoSelection(photos[0], photos[1:], **take_label_options(options))
    given = {name: value for name, value in options.items() if value is not None}
    prepared = prepare_pass(PassOptions(selection, part, **given), opened, screen)
    facts = _facts(prepared, part, opened)
    if listed is not None:
        _list(session, prepared, facts, listed)
        return DONE
    _show_plan(screen, facts)
    compute = None if cluster is None else on_cluster(cluster, given.get("weights"))
    result = {**facts, **run_pass(prepared, opened, screen, compute)}
    if session.json:
        session.print_json(result)
    else:
        _show_result(screen, result)
    return DONE


def _facts(prepared: PassPhotos, part: Any, store: FeatureStore) -> dict[str, Any]:
    return {
        "photos": len(prepared.manifest.usable),
        "shard": str(part),
        "in_shard": len(prepared.shard),
        "missing": len(prepared.missing),
        "store": _place(store),
    }


def _place(store: FeatureStore) -> str:
    """Return the address of a store."""
    place = getattr(store, "place", None)
    return str(getattr(store, "folder", "")) if place is None else str(place.address)


def _list(session: Session, prepared: PassPhotos, facts: dict[str, Any], listed: str) -> None:
    missing = {entry.content for entry in prepared.missing}
    names = [entry.name for entry in prepared.shard if (entry.content in missing) == (listed == "missing")]
    if session.json:
        session.print_json({**facts, "listed": listed, "names": sorted(names)})
        return
    for name in sorted(names):
        session.print(name)


def _show_plan(screen: Screen, facts: dict[str, Any]) -> None:
    photos = counted(facts["photos"], "photo")
    if facts["shard"] == "1/1":
        screen.line("photos", f"{photos} · {facts['in_shard']:,} different · {facts['missing']:,} to compute")
    else:
        screen.line(
            "photos", f"{photos} · {facts['in_shard']:,} in shard {facts['shard']} · {facts['missing']:,} to compute"
        )
    screen.line("store", facts["store"])


def _show_result(screen: Screen, result: dict[str, Any]) -> None:
    for network in result["networks"]:
        screen.line(
            "features",
            f"{counted(network['computed'], 'photo')} computed · {network['from_store']:,} were in the store",
            f"{network['network']} · {network['engine']}",
        )
    if result["unreadable"]:
        first, count = result["unreadable"][0], len(result["unreadable"])
        screen.warn(
            f"{counted(count, 'photo')} could not be decoded, the first of them {first['path']}: {first['why']}"
        )
