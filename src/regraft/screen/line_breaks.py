"""Line breaks: text as lines that fit a width in terminal columns, without a broken word.

A line breaks between facts that are separated by " · " or by three spaces, then between words. Only a word that is
longer than a line is cut, after a separator of paths if it has one. A command line to paste stays one: its lines end
with the backslash of the shell. Chinese has no spaces between words: where it is the language, a line also breaks
between its characters, but no line begins with a closing mark of punctuation or ends with an opening one.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from regraft.language import ENGLISH, language

MIN_WIDTH = 10
"""Minimum number of columns for text; narrower terminals wrap lines themselves."""

_GLUED = re.compile(
    r"(?<=\d) (?=%)|(?<=[\d%]) (?=[–×±] ?\d)|(?<=[–×±]) (?=\d)|"
    r"(?<=\d) (?=(?:[kMGT]?B|px|s|min|h|points?)\b)|(?<=\bn) (?=\d)"
)
_GLUE = "\ue000"
_BETWEEN_FACTS = re.compile(r"( +· +| {3,})")
_COMMAND = re.compile(r"regraft [a-z]")
_SHELL_WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+|\S+""")
_AFTER = "/\\,;:=_"
"""Characters after which a word that is longer than a line is cut."""


def cells(text: str) -> int:
    """Return the number of terminal columns of ``text``; wide characters take two."""
    from rich.cells import cell_len

    return cell_len(text)


def broken(text: str, width: int, hang: int = 0) -> list[str]:
    """Return one line of text as lines of at most ``width`` columns.

    Args:
        text: text without line breaks; its leading spaces are repeated on all lines.
        width: columns of a line; fewer than `MIN_WIDTH` count as that.
        hang: columns by which all lines but the first are indented further.

    Returns:
        At least one line. Text that fits is returned as it is.
    """
    width = max(width, MIN_WIDTH)
    if cells(text) <= width:
        return [text]
    indent = text[: len(text) - len(text.lstrip(" "))][: width // 2]
    body = text.strip(" ")
    if is_command(body):
        return _broken_command(body, width, indent)
    rest = indent + " " * min((_second_column(body) if indent else 0) or hang, width // 2)
    lines, current = [], indent
    for gap, fact in _facts(body):
        whole = width - cells(rest)
        for number, (space, word) in enumerate(_words(fact, whole)):
            between = (gap if number == 0 else space) if current.strip() else ""
            fits = cells(current + between + word) <= width
            if number == 0 and between and cells(rest + fact) <= width < cells(current + between + fact):
                fits = False  # a fact that fits on a line of its own is not divided
            if fits:
                current += between + word
                continue
            if current.strip():
                lines.append(current)
            *full, last = _cut(word, width - cells(rest))
            lines += [(rest if lines or k else indent) + part for k, part in enumerate(full)]
            current = rest + last
    return [line.replace(_GLUE, " ").rstrip() for line in [*lines, current]]


def is_command(text: str) -> bool:
    """Return whether a line of text is a command of regraft to paste, for a shell that can divide it."""
    return _COMMAND.match(text.strip(" ")) is not None and os.name != "nt"


def longest_word(command: str) -> int:
    """Return the columns of the longest word of a command line."""
    return max(cells(word) for word in _SHELL_WORD.findall(command))


def _facts(body: str) -> Iterator[tuple[str, str]]:
    """Yield each fact of a line, with the separator before it."""
    parts = _BETWEEN_FACTS.split(_GLUED.sub(_GLUE, body))
    parts = [part if k % 2 else part.replace("  ", 2 * _GLUE) for k, part in enumerate(parts)]
    yield "", parts[0]
    yield from zip(parts[1::2], parts[2::2], strict=True)


def _words(fact: str, width: int) -> Iterator[tuple[str, str]]:
    """Yield the parts of a fact between which a line may break, each with the space before it."""
    for word in fact.split(" "):
        space = " "
        for part in [word] if cells(word) <= width else word.split(_GLUE):
            for piece in [part] if language() == ENGLISH else _between_characters().split(part):
                if piece:
                    yield space, piece
                    space = ""
            space = " "


@cache
def _between_characters() -> re.Pattern[str]:
    """Return the pattern for places between two characters where a line of Chinese may break."""
    from regraft.language.typography import CLOSING, HAN, OPENING

    return re.compile(
        rf"(?<=[{HAN}{CLOSING}])(?=[^{CLOSING}{_GLUE},.;:!?)\]}}%])|(?<=[^{OPENING}{_GLUE}(\[{{])(?=[{HAN}{OPENING}])"
    )


def _second_column(body: str) -> int:
    """Return where the second column of a line such as ``"expected   photos/*.jpg"`` begins, or 0 if it has none."""
    match = re.match(r"[^\s:]{1,12} {2,}(?=\S)", body)
    return match.end() if match else 0


def _cut(word: str, width: int) -> list[str]:
    """Return the parts of a word, each of at most ``width`` columns; a word that fits is one part."""
    parts, start, length, after = [], 0, 0, 0
    position = 0
    for cluster in _clusters(word):
        size = cells(cluster)
        if length + size > max(width, 2) and position > start:
            end = after if after > start else position
            parts.append(word[start:end])
            start, length = end, cells(word[end:position])
        position += len(cluster)
        length += size
        if cluster in _AFTER:
            after = position
    return [*parts, word[start:]]


def _clusters(text: str) -> Iterator[str]:
    """Yield each character with the combining marks and joined characters after it."""
    cluster = ""
    for c in text:
        joined = cluster.endswith("\u200d") or c == "\u200d" or unicodedata.category(c) in ("Mn", "Me", "Mc", "Cf")
        if cluster and not joined and not "\U0001f3fb" <= c <= "\U0001f3ff":
            yield cluster
            cluster = ""
        cluster += c
    if cluster:
        yield cluster


def _broken_command(command: str, width: int, indent: str) -> list[str]:
    """Return a command line for a POSIX shell as lines that can be pasted together."""
    words = _SHELL_WORD.findall(command)
    lines, current, rest = [], indent + words[0], indent + "  "
    for word, following in zip(words[1:], [*words[2:], ""], strict=True):
        room = width - (2 if following else 0)  # for the backslash
        with_value = f"{word} {following}" if word.startswith("-") and not following.startswith("-") else word
        if cells(f"{current} {with_value}") <= room:
            current += f" {word}"
            continue
        lines.append(f"{current} \\")
        if cells(rest + word) <= room:
            current = rest + word
        else:  # a word continues only at the beginning of the next line
            *full, current = _cut(word, width - 2)
            lines += [f"{part}\\" for part in full]
    return [*lines, current]


def printable(text: str) -> str:
    """Return ``text`` with control characters made visible, so that a file name cannot drive the terminal."""
    return "".join(c if c == "\n" or c.isprintable() or _is_joiner_or_space(c) else _escaped(c) for c in text)


def _escaped(c: str) -> str:
    """Return a character as an escape; a byte of a file name that is not valid UTF-8 as that byte."""
    code = ord(c)
    return f"\\x{code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code:02x}"


def _is_joiner_or_space(c: str) -> bool:
    joiners_of_emoji_and_scripts = "\u200d\u200c\ufe0f\ufe0e"
    return c in joiners_of_emoji_and_scripts or unicodedata.category(c) == "Zs"
