"""The translation of a script: its strings are replaced when the page is written, so that it needs no catalogue.

A template literal such as ``${n} photos`` is the message ``{n} photos``: the last name of an expression is the name of
its place. A single word is translated only if it is a message with the context "script".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from regraft.language.catalogue import CONTEXT, Catalogue, catalogue
from regraft.language.choice import ENGLISH, language
from regraft.language.template import Template, escaped

_TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/"  # comments
    r"|(?<=[(=,:!&|?])\s*/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[gimsuy]*"  # regular expressions
    r'|"(?P<string>(?:[^"\\\n]|\\.)*)"|(?P<literal>`)',
    re.DOTALL,
)
_NAME = re.compile(r"[A-Za-z_]\w*")


def translate_script(source: str) -> str:
    """Return a script whose texts are in the language of the user."""
    return source if language() == ENGLISH else _translated(source, catalogue(language()))


def strings(source: str) -> Iterator[str]:
    """Yield the strings of a script as messages, those inside of template literals too."""
    for start, end, kind in _tokens(source):
        content = source[start + 1 : end - 1]
        if kind == "string":
            yield escaped(content.strip())
            continue
        parts = _parts(content)
        yield _message(parts).strip()
        for expression in parts[1::2]:
            yield from strings(expression)


def _translated(source: str, messages: Catalogue) -> str:
    done, last = [], 0
    for start, end, kind in _tokens(source):
        content = source[start + 1 : end - 1]
        new = _string(content, messages) if kind == "string" else _literal(content, messages)
        done += [source[last : start + 1], new, source[end - 1 : end]]
        last = end
    return "".join([*done, source[last:]])


def _string(content: str, messages: Catalogue) -> str:
    body = content.strip()
    translated = messages.text(body, "script")
    return content if translated is None else content.replace(body, translated.replace('"', '\\"'))


def _literal(content: str, messages: Catalogue) -> str:
    parts = _parts(content)
    inner = [_translated(part, messages) if k % 2 else part for k, part in enumerate(parts)]
    message = _message(parts)
    template = messages.template(f"script{CONTEXT}{message.strip()}")
    if template is None:
        return "".join(f"${{{part}}}" if k % 2 else part for k, part in enumerate(inner))
    values = dict(zip(Template(message).names, inner[1::2], strict=True))
    text = template.filled({name: f"${{{value}}}" for name, value in values.items()})
    return message[: len(message) - len(message.lstrip())] + text + message[len(message.rstrip()) :]


def _tokens(source: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and kind of each string: "string" or "literal"."""
    position = 0
    while match := _TOKEN.search(source, position):
        position = match.end()
        if match["string"] is not None:
            yield match.start(), match.end(), "string"
        elif match["literal"]:
            position = _end_of_literal(source, match.start())
            yield match.start(), position, "literal"


def _end_of_literal(source: str, start: int) -> int:
    """Return the position after the template literal that begins at ``start``."""
    position = start + 1
    while source[position] != "`":
        if source[position] == "\\":
            position += 2
        elif source.startswith("${", position):
            position = _end_of_expression(source, position + 2) + 1
        else:
            position += 1
    return position + 1


def _end_of_expression(source: str, position: int) -> int:
    """Return the position of the brace that ends an expression, whatever is nested in it."""
    depth = 0
    while source[position] != "}" or depth:
        if source[position] == "`":
            position = _end_of_literal(source, position)
            continue
        if source[position] == '"':
            position = source.index('"', position + 1)
        depth += {"{": 1, "}": -1}.get(source[position], 0)
        position += 1
    return position


def _parts(content: str) -> list[str]:
    """Return the content of a template literal as texts and expressions in turn."""
    parts, last, position = [], 0, 0
    while (start := content.find("${", position)) >= 0:
        end = _end_of_expression(content, start + 2)
        parts += [content[last:start], content[start + 2 : end]]
        last = position = end + 1
    return [*parts, content[last:]]


def _message(parts: list[str]) -> str:
    done, used = [], dict[str, int]()
    for k, part in enumerate(parts):
        if k % 2 == 0:
            done.append(escaped(part))
            continue
        words = _NAME.findall(re.sub(r'"[^"]*"', "", part))
        name = words[-1].lower() if words else "value"
        used[name] = used.get(name, 0) + 1
        done.append(f"{{{name}{f'_{used[name]}' if used[name] > 1 else ''}}}")
    return "".join(done)
