"""Options of passes and trainings on several processes and machines."""

from __future__ import annotations

from collections.abc import Callable

import click
import cloup

from regraft.cli.options import F


def store_option() -> Callable[[F], F]:
    """Return the decorator that adds ``--store``, for features that several machines share."""
    decorator: Callable[[F], F] = cloup.option(
        "--store",
        metavar="ADDRESS",
        help="Feature store that many machines may use at once: a shared folder, or an address such as "
        "s3://bucket/features. Default: REGRAFT_STORE, or the store of this machine.",
    )
    return decorator


def on_option() -> Callable[[F], F]:
    """Return the decorator that adds ``--on``, for passes over photos on a cluster."""
    decorator: Callable[[F], F] = cloup.option(
        "--on",
        "cluster",
        metavar="ray[://HOST:PORT]",
        help="Run the network on a Ray cluster: that of RAY_ADDRESS, one at an address, or one that is started here. "
        "Its machines need the photos under the same paths.",
    )
    return decorator


def worker_options() -> Callable[[F], F]:
    """Return the decorator that adds the group "Several processes" to `regraft train`."""
    decorator: Callable[[F], F] = cloup.option_group(
        "Several processes",
        cloup.option(
            "--shards",
            type=click.IntRange(min=1, max=1024),
            metavar="N",
            help="Cut each batch into N virtual shards, so that the weights do not depend on the number of processes.  "
            "[default: 8 under torchrun and on Ray, 2 or 4 for small photos, else none]",
        ),
        cloup.option(
            "--fast-reduce",
            is_flag=True,
            default=None,
            help="Let each process compute one shard, and add gradients in any order: the last bits then depend on the "
            "number of processes.",
        ),
        cloup.option(
            "--worker-timeout",
            metavar="TIME",
            help="Maximum time that processes wait for each other; 10m if not given.",
        ),
        cloup.option(
            "--on",
            "cluster",
            metavar="ray[://HOST:PORT]",
            help="Train on a Ray cluster, by Ray Train: that of RAY_ADDRESS, one at an address, or one that is started "
            "here. Its machines need photos, run folder and cache under the same paths.",
        ),
        cloup.option(
            "--processes",
            type=click.IntRange(min=1, max=1024),
            metavar="N",
            help="With --on: maximum number of processes; one per GPU or processor of the cluster if not given.",
        ),
    )
    return decorator
