"""The translations of one language: a gettext catalogue (``.mo``) as whole texts and as templates."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache
from importlib import resources

from regraft.language.choice import ENGLISH
from regraft.language.template import Template, words_of

CONTEXT = "\x04"
"""What separates the context of a message from its text, as in all gettext catalogues."""

_MAGIC = 0x950412DE


class Catalogue:
    """Translations, found by whole texts and by templates.

    Args:
        messages: translations by English templates.
    """

    def __init__(self, messages: Mapping[str, str]) -> None:
        self._texts: dict[str, str] = {}
        self._by_template: dict[str, Template] = {}
        self._templates: dict[str, list[tuple[Template, Template]]] = {}
        for text, translation in messages.items():
            template = Template(text)
            self._by_template[text] = Template(translation)
            if not template.names:
                self._texts[template.filled({})] = Template(translation).filled({})
            elif text != translation and CONTEXT not in text:
                anchor = template.words[0] if template.words else ""
                self._templates.setdefault(anchor, []).append((template, Template(translation)))

    def text(self, text: str, context: str = "") -> str | None:
        """Return the translation of a whole text, or None."""
        return self._texts.get(f"{context}{CONTEXT}{text}" if context else text)

    def words(self, context: str) -> dict[str, str]:
        """Return all texts of a context and their translations, for a script that looks words up itself."""
        begin = f"{context}{CONTEXT}"
        return {text.removeprefix(begin): one for text, one in self._texts.items() if text.startswith(begin)}

    def template(self, text: str) -> Template | None:
        """Return the translation of a template, given as a template, or None."""
        return self._by_template.get(text)

    def templates(self, text: str) -> list[tuple[Template, Template]]:
        """Return templates that may fit ``text`` and their translations, those with the most literal text first."""
        anchors = ["", *words_of(text)]
        near = [pair for anchor in anchors for pair in self._templates.get(anchor, ())]
        return sorted(near, key=lambda pair: (-len(pair[0].literals), -pair[0].text.count(":n}")))


@cache
def catalogue(language: str) -> Catalogue:
    """Return the catalogue of a language; that of English is empty."""
    if language == ENGLISH:
        return Catalogue({})
    file = resources.files("regraft.language") / language / "LC_MESSAGES" / "regraft.mo"
    return Catalogue(read_mo(file.read_bytes()))


def read_mo(content: bytes) -> dict[str, str]:
    """Return the messages of a gettext ``.mo`` file; ``gettext`` of the standard library does not list them.

    Source: https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html

    Raises:
        ValueError: ``content`` is not such a file.
    """
    order = "<" if struct.unpack_from("<I", content)[0] == _MAGIC else ">"
    magic, _, count, originals, translations = struct.unpack_from(f"{order}5I", content)
    if magic != _MAGIC:
        raise ValueError("expected a gettext .mo file, found other content")

    def text(table: int, number: int) -> str:
        length, start = struct.unpack_from(f"{order}2I", content, table + 8 * number)
        return content[start : start + length].decode("utf-8")

    return {text(originals, number): text(translations, number) for number in range(count) if text(originals, number)}
