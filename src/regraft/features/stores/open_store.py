"""The feature store of a command: the one of this machine, or a shared one at an address."""

from __future__ import annotations

import os
from collections.abc import Callable

from regraft.features.stores.disk_store import DiskStore
from regraft.features.stores.store import FeatureStore

VARIABLE = "REGRAFT_STORE"
"""Environment variable with the address of a shared store, for commands without ``--store``."""


def open_store(address: str | None = None, *, warn: Callable[[str], None] | None = None) -> FeatureStore:
    """Return the shared feature store at ``address`` or at `VARIABLE`; without either, the one of this machine.

    Args:
        address: a folder that all machines see, or an address of fsspec such as ``s3://bucket/features``.
        warn: called once with the reason if the store becomes unusable.

    Raises:
        ConfigError: no package for the protocol of the address is installed.
        MissingExtraError: pyarrow or fsspec is not installed.
    """
    place = store_address(address)
    if place is None:
        return DiskStore(warn=warn)
    from regraft.features.stores.shared.arrow_file import arrow
    from regraft.features.stores.shared.places import place_at
    from regraft.features.stores.shared.shared_store import SharedStore

    arrow()
    return SharedStore(place_at(place), warn=warn)


def local_store(store: FeatureStore, *, warn: Callable[[str], None] | None = None) -> FeatureStore:
    """Return ``store``, or that of this machine if it is shared: for activations, which are large and serve one run."""
    from regraft.features.stores.shared.shared_store import SharedStore

    return DiskStore(warn=warn) if isinstance(store, SharedStore) else store


def store_address(address: str | None = None) -> str | None:
    """Return the address of the shared store: ``address``, or that of `VARIABLE`; None without either."""
    return address or os.environ.get(VARIABLE) or None
