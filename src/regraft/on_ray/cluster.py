"""The connection to a Ray cluster, and the versions that all its machines must share."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import socket
import sys
from collections.abc import Iterator
from typing import Any

from regraft.errors import ConfigError, MissingExtraError, RegraftError

PREFIX = "ray://"
PACKAGES = ("regraft", "torch", "timm", "numpy", "pillow", "onnx", "onnxruntime")
"""Packages whose version may change the bits of features."""

BLOCK = 256
"""Photos in a block, the unit that is repeated when an actor dies."""

_ANSWER_SECONDS = 5.0


class ClusterError(RegraftError):
    """A machine of the cluster differs from this one, or a pass on the cluster failed."""


def check_place(on: str) -> str:
    """Return ``on`` if it is ``ray`` or an address of Ray such as ``ray://host:10001``.

    Raises:
        ConfigError: it is something else.
    """
    if on == "ray" or (on.startswith(PREFIX) and on.removeprefix(PREFIX)):
        return on
    raise ConfigError(f"--on: expected ray, or the address of a cluster such as ray://host:10001, found {on!r}")


def connect(on: str) -> Any:
    """Connect to a cluster, and return the package ray.

    Args:
        on: ``ray`` for the cluster of ``RAY_ADDRESS``, or else for one that is started on this machine; or an address.

    Raises:
        MissingExtraError: ray is not installed.
        ConfigError: no cluster answers at the address.
    """
    check_place(on)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("passes on a Ray cluster", "ray") from error
    package: Any = ray
    if not package.is_initialized():
        address = on if on.startswith(PREFIX) else os.environ.get("RAY_ADDRESS")
        _check_answers(address)
        try:
            package.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise _no_answer(str(address), " ".join(str(error).split())) from error
    _show_errors_on_stderr()
    package.data.DataContext.get_current().enable_progress_bars = False
    return package


def map_blocks(ray: Any, table: Any, actor: type, arguments: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the results of actors for the blocks of a table, as tables, in any order.

    Args:
        ray: the result of `connect`.
        table: an Arrow table; its blocks have `BLOCK` rows.
        actor: a class whose instances take a table and return one.
        arguments: the arguments of its constructor.
    """
    blocks = [table.slice(first, BLOCK) for first in range(0, len(table), BLOCK)]
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=min(processors(ray), len(blocks)))
    results = ray.data.from_arrow(blocks).map_batches(
        actor, fn_constructor_args=arguments, batch_size=BLOCK, batch_format="pyarrow", compute=pool, num_cpus=1
    )
    yield from results.iter_batches(batch_size=None, batch_format="pyarrow")


def versions() -> dict[str, str]:
    """Return the versions of Python and of `PACKAGES` on this machine."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def check_agreement(expected: dict[str, str], found: dict[str, str]) -> None:
    """Check that this machine of the cluster has what the machine has that started the pass.

    Raises:
        ClusterError: something differs; every difference is named.
    """
    names = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if names:
        differences = "; ".join(f"{name} {found.get(name)} here, {expected.get(name)} there" for name in names)
        raise ClusterError(
            f"the machine {socket.gethostname()} of the cluster differs from the one that started the pass: "
            f"{differences}\n  install the same versions and the same weights on all machines, or features would differ"
        )


def processors(ray: Any) -> int:
    """Return the number of processors of the cluster, at least 1."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


@functools.cache
def _show_errors_on_stderr() -> None:
    """Let Ray print that a process died on standard error; it uses standard output, which is for results."""
    module: Any = sys.modules["ray._private.worker"]
    show = getattr(module, "print_to_stdstream", None)
    if show is not None:
        module.print_to_stdstream = lambda data, *rest, **more: show({**data, "is_err": True}, *rest, **more)


def _check_answers(address: str | None) -> None:
    host, separator, port = (address or "").removeprefix(PREFIX).rpartition(":")
    if not separator or not port.isdecimal():
        return
    try:
        with socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS):
            pass
    except OSError as error:
        raise _no_answer(str(address), str(error.strerror or error)) from error


def _no_answer(address: str, why: str) -> ConfigError:
    return ConfigError(
        f"no Ray cluster answers at {address}: {why}\n"
        "  start one with: ray start --head --ray-client-server-port 10001      (pip install 'regraft[ray]')"
    )
