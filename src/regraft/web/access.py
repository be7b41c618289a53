"""The rules of a server: who reaches it, under which names, and with which token."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from regraft.errors import ServerError

MIN_TOKEN = 8
"""Minimum characters of a token."""

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Access:
    """The rules of a server.

    Attributes:
        host: address on which it listens, or the name of this machine.
        token: the token, or None if no request needs it.
        body: maximum size of a body in bytes.
        posts_per_second: maximum number of posts in a second, averaged over a few seconds.
        names: further names of the server, such as that of a proxy in front of it.
        as_json: whether a refusal is a line of JSON; otherwise it is a line of text.
    """

    host: str = "127.0.0.1"
    token: str | None = field(default=None, repr=False)
    body: int = 1 << 18
    posts_per_second: float = 3000.0
    names: tuple[str, ...] = ()
    as_json: bool = False

    @property
    def is_local(self) -> bool:
        """True if only this machine can reach the server."""
        return is_loopback(self.host)

    def is_own(self, host: str) -> bool:
        """Return whether the host of a request, with or without a port, is an address of this server."""
        try:
            parts = urllib.parse.urlsplit(f"//{host}")
            name, _ = (parts.hostname or "").rstrip("."), parts.port  # the port is checked by reading it
        except ValueError:
            return False
        if name in self.names:
            return True
        address = _address(name)
        if self.is_local:
            return name == "localhost" or (address is not None and address.is_loopback)
        return address is not None or name in (self.host.lower(), socket.gethostname().lower(), "localhost")


def is_loopback(host: str) -> bool:
    """Return whether a host is an address of this machine that no other machine can reach."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def checked_token(host: str, token: str | None) -> str | None:
    """Return the token of a server: a random one if other machines can reach it and none is given.

    Raises:
        ServerError: the token is too short.
    """
    if token is None and not is_loopback(host):
        return secrets.token_urlsafe(24)
    if token is not None and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        raise ServerError(f"--token: expected at least {MIN_TOKEN} ASCII characters without spaces")
    return token


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return further names of a server, in lower case.

    Raises:
        ServerError: one of them is not a host name.
    """
    for name in names:
        if not name.isascii() or not name.replace("-", "").replace(".", "").isalnum():
            raise ServerError(f"--name: expected a host name such as photos.example.org, found {name!r}")
    return tuple(name.lower().rstrip(".") for name in names)


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
