"""The translation of a page: its texts are translated one block at a time, so that a sentence stays whole.

A block is what stands between tags such as ``<p>``, with the tags inside a sentence, such as ``<b>``, as parts of its
message. Names of files and classes are in ``<bdi>``, commands in ``<code>``; both stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape

from regraft.language.catalogue import Catalogue, catalogue
from regraft.language.choice import ENGLISH, language
from regraft.language.search import best_template, prose, search

_INLINE = frozenset(("a", "b", "bdi", "code", "em", "i", "kbd", "small", "span", "strong", "sub", "sup"))
_VERBATIM = re.compile(r"<(script|style|pre|bdi|code|kbd)\b.*?</\1>", re.DOTALL)
_VERBATIM_BLOCK = re.compile(r"<(script|style|pre)\b.*?</\1>", re.DOTALL)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]*)>")
_ATTRIBUTE = re.compile(r'(?<= )(aria-label|title|alt|placeholder)="([^"]*)"')
_LETTERS = re.compile(r"[A-Za-z]{2,}")
_PARTS = ("a", "small", "span")
"""Inline tags whose content may be a message by itself."""

_NAMES_IN = ("b", "option")
"""Tags around names: a single word in them is not translated."""

_DEPTH = 5


def translate_html(html: str) -> str:
    """Return a page, or a part of one, in the language of the user."""
    if language() == ENGLISH:
        return html
    messages = catalogue(language())
    done, end = [], 0
    for match in _VERBATIM_BLOCK.finditer(html):
        done += [_blocks(html[end : match.start()], messages), match[0]]
        end = match.end()
    return "".join([*done, _blocks(html[end:], messages)])


def pieces(html: str) -> Iterator[str]:
    """Yield the texts of a page that are translated as one: attributes that are read aloud, and blocks."""
    for tag in _TAG.finditer(html):
        yield from (match[2].strip() for match in _ATTRIBUTE.finditer(tag[0]))
    for block, is_tag in _parts(html):
        if not is_tag:
            texts = [text for text in _TAG.split(block)[::4] if text.strip()]
            if texts:
                yield (texts[0] if len(texts) == 1 else block).strip()


def letters_of(piece: str) -> bool:
    """Return whether a piece has words outside of tags, places and names that stay as they are."""
    return _LETTERS.search(re.sub(r"\{[^{}]*\}|<[^<>]*>|&\w+;", " ", _VERBATIM.sub(" ", piece))) is not None


def _parts(html: str) -> Iterator[tuple[str, bool]]:
    """Yield blocks of text, and the tags between them; only the latter are marked with True."""
    end = 0
    for tag in _TAG.finditer(html):
        if tag[2] not in _INLINE:
            yield html[end : tag.start()], False
            yield tag[0], True
            end = tag.end()
    yield html[end:], False


def _blocks(html: str, messages: Catalogue) -> str:
    before, done = "", []
    for part, is_tag in _parts(html):
        done.append(_attributes(part, messages) if is_tag else _block(part, messages, before, _DEPTH))
        before = part if is_tag else before
    return "".join(done)


def _attributes(tag: str, messages: Catalogue) -> str:
    return _ATTRIBUTE.sub(lambda match: f'{match[1]}="{_plain(match[2], messages, word=True)}"', tag)


def _block(text: str, messages: Catalogue, tag: str, depth: int) -> str:
    body = text.strip()
    if not body or not letters_of(body):
        return text
    lead, tail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    whole = messages.text(body, "page") or messages.text(body)
    if whole is None and depth > 0:
        template, left = best_template(body, messages, lambda value, word: _value(value, messages, word, depth - 1))
        nodes = _divided(body, messages, tag, depth) if left else body
        whole = nodes if prose(nodes) < left else template
    return lead + (body if whole is None else whole) + tail


def _divided(body: str, messages: Catalogue, tag: str, depth: int) -> str:
    """Return a block that is not a message: the texts in tags such as ``<small>`` are translated first, as blocks."""
    done, end, before = [], 0, tag
    for match in _TAG.finditer(body):
        if match[2] in _PARTS:
            done += [_block(body[end : match.start()], messages, before, depth - 1), _attributes(match[0], messages)]
            end, before = match.end(), match[0]
    if not end:
        return _nodes(body, messages, tag)
    return "".join([*done, _block(body[end:], messages, before, depth - 1)])


def _value(value: str, messages: Catalogue, word: bool, depth: int) -> str:
    """Return the translation of a part of a sentence; a single word only if ``word``."""
    if "<" in value:
        return _block(value, messages, "<b>", depth)
    return _plain(value, messages, word=word)


def _nodes(body: str, messages: Catalogue, tag: str) -> str:
    """Return a block that is not a message: each text between its tags is translated by itself."""
    done, end, before = [], 0, tag
    for match in _TAG.finditer(body):
        done += [_node(body[end : match.start()], messages, before), _attributes(match[0], messages)]
        end, before = match.end(), match[0]
    return "".join([*done, _node(body[end:], messages, before)])


def _node(text: str, messages: Catalogue, tag: str) -> str:
    match = _TAG.match(tag)
    name = match[2] if match and not match[1] else ""
    return text if name in {"bdi", "code", "kbd"} else _plain(text, messages, word=name not in _NAMES_IN)


def _plain(text: str, messages: Catalogue, *, word: bool) -> str:
    plain = unescape(text)
    translated = (messages.text(plain.strip(), "page") if word else None) or search(plain, messages, word)
    return text if translated == plain else escape(translated, quote=True)
