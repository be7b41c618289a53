"""The translation of texts as they leave the program; in English nothing is loaded and every text stays as it is."""

from __future__ import annotations

from functools import lru_cache

from regraft.language.choice import ENGLISH, language


def translate(text: str) -> str:
    """Return a text in the language of the user; a text that is not a message stays as it is.

    A single word is not translated, because it may be the name of a class or a file.
    """
    return _translated(text, language())


def translate_word(text: str) -> str:
    """Return a text in the language of the user, even if it is a single word: a label, a unit."""
    return _translated(text, language(), word=True)


def translate_heading(text: str) -> str:
    """Return the heading of a column in the language of the user."""
    return _translated(text, language(), "page", word=True)


def translate_cell(text: str) -> str:
    """Return the cell of a table in the language of the user; of single words, only those with the context "cell"."""
    return _translated(text, language(), "cell")


@lru_cache(maxsize=4096)
def _translated(text: str, language: str, context: str = "", *, word: bool = False) -> str:
    if language == ENGLISH:
        return text
    from regraft.language.catalogue import catalogue
    from regraft.language.search import search

    messages = catalogue(language)
    translated = messages.text(text, context) if context else None
    return search(text, messages, word) if translated is None else translated
