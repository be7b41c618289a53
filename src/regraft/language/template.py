"""Message templates: texts with named places for values, such as ``"{n:n} photos in {folder}"``.

``{name}`` stands for any text, ``{name:n}`` for a number. In a translation, ``{name!t}`` stands for the translation of
a single word; a value of several words that is a message itself is always translated. ``{{`` and ``}}`` are braces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

_PART = re.compile(r"\{\{|\}\}|\{(\w+)(:n)?(!t)?\}")
_WORD = re.compile(r"[A-Za-z][A-Za-z’'-]*")

NUMBER = r"[-+−]?(?:\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?|nan|inf)%?"
FACT = r"(?:(?! · | {3}).)*?"
"""Any text, but not several facts: those are translated one by one."""

TEXT = r".*?"


def escaped(text: str) -> str:
    """Return plain text as a template."""
    return text.replace("{", "{{").replace("}", "}}")


class Template:
    """A message with places for values.

    Args:
        text: the template.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def parts(self) -> list[str | tuple[str, bool, bool]]:
        """Literal texts, and places: the name, whether it is a number, and whether a single word is translated."""
        parts: list[str | tuple[str, bool, bool]] = []
        end = 0
        for match in _PART.finditer(self.text):
            parts.append(self.text[end : match.start()])
            parts.append((match[1], match[2] is not None, match[3] is not None) if match[1] else match[0][0])
            end = match.end()
        parts.append(self.text[end:])
        return [part for part in parts if part]

    @property
    def literals(self) -> str:
        """All literal texts, separated by spaces."""
        return " ".join(part for part in self.parts if isinstance(part, str))

    @cached_property
    def is_weak(self) -> bool:
        """Whether it has so little text that it fits texts of another meaning: one word, and no mark after it."""
        return len(_WORD.findall(self.literals)) <= 1 and not any(
            re.search(r"[a-z](:| {2})", part) for part in self.parts if isinstance(part, str)
        )

    @property
    def names(self) -> list[str]:
        """The names of the places, in order."""
        return [part[0] for part in self.parts if not isinstance(part, str)]

    @property
    def words(self) -> list[str]:
        """The words that every text of this template contains, the longest first.

        A word next to a place may be a part of a longer word, so it does not count.
        """
        words = []
        for number, part in enumerate(self.parts):
            if not isinstance(part, str):
                continue
            for match in _WORD.finditer(part):
                cut = (match.start() == 0 and number > 0) or (match.end() == len(part) and number < len(self.parts) - 1)
                words += [] if cut else [match[0]]
        return sorted(words, key=len, reverse=True)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        places, text = [], FACT
        for part in self.parts:
            if isinstance(part, str):
                places.append(re.escape(part))
                text = TEXT if "\n" in part else text  # further lines have columns
            else:
                places.append(f"(?P<{part[0]}>{NUMBER if part[1] else text})")
        return re.compile("".join(places), re.DOTALL)

    def values(self, text: str) -> Mapping[str, str] | None:
        """Return the values in ``text`` by their names, or None if it is not a text of this template."""
        match = self._pattern.fullmatch(text)
        return None if match is None else match.groupdict()

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the template with values, given by their names, in their places."""
        return "".join(part if isinstance(part, str) else values[part[0]] for part in self.parts)


def words_of(text: str) -> set[str]:
    """Return the words of a text, for a search among templates by their `Template.words`."""
    return set(_WORD.findall(text))
