"""The messages for pages, in their order, and the ids with which a page asks for what it missed."""

from __future__ import annotations

import json
import re
import secrets
from collections import deque
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 4 << 20
"""Bytes of messages in memory; a page that has missed more starts again."""


@dataclass(frozen=True)
class Message:
    """A message for every page.

    Attributes:
        number: its position in the order of all messages.
        data: its JSON.
    """

    number: int
    data: str


class MessageLog:
    """The last messages, each with a number.

    An id is the name of this log and a number. The name is new whenever a server starts, so a page that was connected
    to an earlier server is told to start again.
    """

    def __init__(self) -> None:
        self.last = 0
        self._name = secrets.token_hex(4)
        self._messages: deque[Message] = deque()
        self._bytes = 0

    def add(self, value: dict[str, Any]) -> None:
        """Add a message."""
        self.last += 1
        message = Message(self.last, as_json(value))
        self._messages.append(message)
        self._bytes += len(message.data)
        while self._bytes > MAX_BYTES and len(self._messages) > 1:
            self._bytes -= len(self._messages.popleft().data)

    def id_of(self, number: int) -> str:
        """Return the id of the message with this number."""
        return f"{self._name}.{number}"

    def number_of(self, message_id: str) -> int | None:
        """Return the number of the last message that a page has; None if it has to start again."""
        match = re.fullmatch(rf"{self._name}\.(\d{{1,15}})", message_id)
        number = int(match[1]) if match else -1
        first = self._messages[0].number if self._messages else self.last + 1
        return number if first - 1 <= number <= self.last else None

    def after(self, number: int) -> list[Message]:
        """Return the messages after the one with this number."""
        newer: list[Message] = []
        for message in reversed(self._messages):
            if message.number <= number:
                break
            newer.append(message)
        return newer[::-1]


def as_json(value: Any) -> str:
    """Return ``value`` as JSON on one line, without NaN; lone surrogates of file names are escaped."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
