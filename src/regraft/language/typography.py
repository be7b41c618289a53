"""The typography of Chinese where translated and other texts meet: spaces, and full-width punctuation.

Only the places between two texts are changed, never the inside of a text, which may be the name of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HAN = r"\u3400-\u9fff\uf900-\ufaff"
"""Chinese characters, as a part of a class of characters in a pattern."""

CLOSING = "，。、；：！？）」』》〉】…％"
"""Characters that no line begins with."""

OPENING = "（「『《〈【"
"""Characters that no line ends with."""

_WIDE = {", ": "，", "; ": "；", ": ": "：", ". ": "。"}
_HAN_AT_END = re.compile(rf"[{HAN}{CLOSING}]$")
_HAN_AT_START = re.compile(rf"[{HAN}{OPENING}]")
_WIDE_AT_END = re.compile("[，。、；：！？）」』》〉】（「『《〈【]$")
_WIDE_AT_START = re.compile("[，。、；：！？）」』》〉】（「『《〈【]")
_LATIN_AT_END = re.compile(r"[A-Za-z0-9]$")
_LATIN_AT_START = re.compile(r"[A-Za-z0-9]")
_BREAK = re.compile(rf"(?<=[{HAN}{CLOSING}])\n *(?=[{HAN}{OPENING}])")


def joined(texts: Iterable[str]) -> str:
    """Return texts as one: no space next to full-width punctuation, and one between Chinese and Latin letters."""
    whole = ""
    for text in texts:
        before, after = whole.rstrip(" "), text.lstrip(" ")
        spaces = len(whole) - len(before) + len(text) - len(after)
        if not before or not after or spaces > 1:
            whole += text
        else:
            space = _space_between(before, after)
            whole = whole + text if space is None else before + space + after
    return whole


def _space_between(before: str, after: str) -> str | None:
    """Return what separates two texts on one line, or None to leave that as it is."""
    if _WIDE_AT_END.search(before) or _WIDE_AT_START.match(after):
        return ""
    if _HAN_AT_END.search(before):
        return "" if _HAN_AT_START.match(after) else " " if _LATIN_AT_START.match(after) else None
    return " " if _LATIN_AT_END.search(before) and _HAN_AT_START.match(after) else None


def without_breaks(markdown: str) -> str:
    """Return Markdown without line breaks between Chinese characters, which a browser would show as spaces."""
    return _BREAK.sub("", markdown)


def separator(mark: str, before: str, after: str) -> str:
    """Return a mark of punctuation with its space, full-width if the text before or after it is Chinese."""
    is_chinese = _HAN_AT_END.search(before) or re.match(rf"[^.,;:]*[{HAN}]", after)
    return _WIDE.get(mark, mark) if is_chinese else mark


def in_parentheses(text: str) -> str:
    """Return a translated text in parentheses."""
    return f"（{text}）"
