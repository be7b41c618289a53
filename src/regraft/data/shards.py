"""Shards: the photos divided by their content among processes that do not know of each other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from regraft.data.manifest import Entry
from regraft.errors import ConfigError

_FORM = re.compile(r"(\d{1,9})/(\d{1,9})")


@dataclass(frozen=True)
class Shard:
    """One of ``count`` parts of the photos. A photo is in the same part whatever other photos there are.

    Attributes:
        number: number of the part, from 1.
        count: number of parts.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that ``text`` names, such as ``3/16``.

        Raises:
            ConfigError: it has another form, or the number is not from 1 to the count.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise ConfigError(
                f"--shard: expected a part of all photos such as 3/16, from 1/16 to 16/16, found {text!r}"
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return the entries in this shard, one for each content, in the order of their contents."""
        distinct = {entry.content: entry for entry in entries if self.has(entry.content)}
        return [distinct[content] for content in sorted(distinct)]

    def has(self, content: str) -> bool:
        """Return whether a photo with this content hash is in the shard."""
        return int(content[:15], 16) % self.count == self.number - 1
