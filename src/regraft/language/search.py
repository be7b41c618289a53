"""The search for the translation of a text.

A text is looked up as a whole, then by templates, then part by part, because screens join facts with " · " and messages
with their hints. Several templates may fit a text: the result with the fewest English words counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from regraft.language.catalogue import Catalogue
from regraft.language.template import Template
from regraft.language.typography import in_parentheses, joined, separator

_COLON = re.compile(r"(: )")
_SEPARATORS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(\n)", r"( *· +| {3,})", r"( → )", r"(?<=[.?])( )(?=[A-Z])", r"(; )", _COLON, r"((?<=\S) )(?=\()",
        r"(, )", r"( and )", r"( or )", r"( {2})",
    )
)  # fmt: skip
"""Separators of texts that are messages by themselves, the strongest first."""

_LETTERS = re.compile(r"[A-Za-z]{2,}")
_COMMAND = re.compile(r"regraft [a-z]|pip install |jupyter ")
_PARENTHESES = re.compile(r"\(([^()]*)\)([.,;:]?)", re.DOTALL)
_ONE_WORD = re.compile(r"\S*[^\s:;,.]")
_WORDS = re.compile(r"(?<![\w./'-])[A-Za-z][a-z’']*(?: (?:\d+ )?[a-z][a-z’']*)+(?![\w/'=])")
_TAG = re.compile(r"<[^<>]*>")
_DEPTH = 5


@lru_cache(maxsize=4096)
def search(text: str, messages: Catalogue, word: bool, depth: int = _DEPTH) -> str:
    """Return the translation of a text: as a whole, by a template, or of the parts that it was joined from.

    Args:
        text: the English text.
        messages: the translations.
        word: whether a single word is translated.
        depth: levels of parts within parts that are translated.
    """
    body = text.strip()
    if not _LETTERS.search(body) or (not word and not re.search(r"\s", body)):
        return text
    lead, tail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    whole = messages.text(body)
    if whole is None and (depth == 0 or _COMMAND.match(body)):
        return text
    if whole is None:
        by_template, left = best_template(body, messages, lambda value, word: search(value, messages, word, depth - 1))
        by_parts = _by_parts(body, messages, depth) if left else body
        whole = by_parts if prose(by_parts) < left else by_template
    return lead + whole + tail


def best_template(body: str, messages: Catalogue, translated: Callable[[str, bool], str]) -> tuple[str, int]:
    """Return the translation by the template that leaves the least English, and the number of English words left.

    Args:
        body: the English text; it is returned if no template fits.
        messages: the translations.
        translated: returns the translation of a value; its second argument says whether a single word is translated.
    """
    best, left = body, prose(body) or 1
    for template, translation in messages.templates(body):
        values = template.values(body)
        if values is None or (template.is_weak and not all(_fits(value, translated) for value in values.values())):
            continue
        dropped = set(values) - set(translation.names)
        text = _filled(translation, values, translated)
        words = prose(text) + sum(len(_LETTERS.findall(values[name])) - 1 for name in dropped if values[name])
        if words < left:
            best, left = text, words
        if left <= 0:
            break
    return best, left


def _filled(translation: Template, values: Mapping[str, str], translated: Callable[[str, bool], str]) -> str:
    return joined(part if isinstance(part, str) else translated(values[part[0]], part[2]) for part in translation.parts)


def _fits(value: str, translated: Callable[[str, bool], str]) -> bool:
    """Return whether a value can stand in a template with little text: a number, a name without a space, a message."""
    if not _LETTERS.search(value) or _ONE_WORD.fullmatch(value):
        return True
    return not re.search(r"[:;] |  |→", value) and translated(value, True) != value


def prose(text: str) -> int:
    """Return the number of English words in a text that stand next to each other, as names do not."""
    return sum(len(words.split()) for words in _WORDS.findall(_TAG.sub(" ", text)))


def _by_parts(body: str, messages: Catalogue, depth: int) -> str:
    """Return the translation of the parts of a text, divided where the least English is left."""
    inner = _PARENTHESES.fullmatch(body)
    if inner is not None:
        translated = search(inner[1], messages, False, depth - 1)
        return body if translated == inner[1] else in_parentheses(translated) + inner[2]
    best, left = body, prose(body) or 1
    for pattern in _SEPARATORS:
        parts = pattern.split(body, maxsplit=pattern is _COLON)
        text = _joined_parts(parts, messages, depth) if len(parts) > 1 else body
        if text != body and prose(text) < left:
            best, left = text, prose(text)
        if not left:
            break
    return best


def _joined_parts(parts: list[str], messages: Catalogue, depth: int) -> str:
    """Return texts and the separators between them, translated; a separator may belong to the message after it."""
    done = [messages.text(parts[0], "fact") or search(parts[0], messages, False, depth - 1)]
    is_translated = done[0] != parts[0]
    for mark, text in zip(parts[1::2], parts[2::2], strict=True):
        plain = messages.text(text, "fact") or search(text, messages, False, depth - 1)
        with_mark = search(mark + text, messages, False, depth - 1) if mark in {"; ", ", ", ": "} else mark + text
        if prose(with_mark) < prose(plain):
            done.append(with_mark)
        else:
            done += [messages.text(mark.strip(), "cell") or separator(mark, done[-1], plain), plain]
        is_translated = is_translated or done[-1] != text
    return joined(done) if is_translated else "".join(parts)
