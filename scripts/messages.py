"""The messages of regraft's source, as templates: ``{photos:n} photos in {folder}`` for an f-string.

python scripts/messages.py [LANGUAGE ...]     bring the catalogues up to date, and print what has no translation

No function marks a message in the source. A message is what looks like one: text of at least two words, a label or a
unit of the screen, a help text, a text between tags of HTML. Strings that are no prose, such as keys and patterns, are
left out by their place in the syntax tree. A text that is never shown has itself as its translation. Messages that
cannot be recognized in the source are in ``more_messages.txt``.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from regraft.language.choice import ENGLISH, LANGUAGES
from regraft.language.html import letters_of, pieces
from regraft.language.javascript import strings
from regraft.language.template import escaped

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

TREE = Path(__file__).resolve().parent.parent
SOURCE = TREE / "src" / "regraft"
MORE = TREE / "scripts" / "more_messages.txt"

NOT_SHOWN = (
    "callbacks/", "training/", "probe/", "measure/", "lessons/content/", "export/runners/", "export/graph_text/",
    "language/", "context/option_synonyms.py", "data/tables/column_words.py", "data/side_words.py",
    "data/folders/folder_tree.py", "data/folders/name_patterns.py", "data/augmentation.py", "data/image_folder",
    "data/loading/worker_processes.py",
    "disk/hdf5_file.py", "features/engines/operations.py", "export/classifier_graph.py", "export/model_card.py",
    "report/drawing.py", "report/figures.py", "sklearn/", "serve/openapi.py", "serve/metrics.py",
    "sample/exercise_photos.py", "sample/flowers.py",
)  # fmt: skip
"""Files whose strings neither the command line nor a page shows: word lists, code, and errors of Python's callers."""

PROSE = re.compile(
    r"[A-Za-z][a-z’']+[,;:.)”]*\s+[(“]*[A-Za-z{<]|[}\d%>][,;:)”]* +[(“]*[a-z]{2,}"
    r"|[a-z]+[,;:]? +[(“]*\{|\}}?,? +[(“]*[a-z]{2,}"
)
LETTERS = re.compile(r"[A-Za-z]{2,}")
MARKUP = re.compile(r"</?[a-z][a-z0-9]*[ >/]")
NUMBER_SPEC = re.compile(r"[-+ #0-9,_.]*[dfgeEn%]?$")

SCREEN_WORDS = {"line": (0,), "detail": (0,), "table": (0,), "progress": (0, 2), "option_group": (0,), "Section": (0,)}
"""Arguments of the methods of a screen, and of parts of a help text, that may be single words."""

OTHER_CALLS = frozenset(
    ("compile", "fullmatch", "match", "search", "sub", "finditer", "execute", "executescript", "getenv", "add_argument",
     "encode", "decode", "startswith", "endswith", "removeprefix", "removesuffix", "split", "partition", "rpartition",
     "filterwarnings", "import_module", "TypeVar", "Literal", "getattr", "hasattr", "setattr", "get", "pop")
)  # fmt: skip
"""Functions whose arguments are no messages."""

OTHER_ERRORS = frozenset(
    ("TypeError", "AssertionError", "NotImplementedError", "RuntimeError", "AttributeError", "IndexError", "KeyError",
     "StopIteration", "SystemExit", "ImportError")
)  # fmt: skip
"""Errors that no user sees."""


def messages() -> dict[str, list[str]]:
    """Return every message, and the files that have it; a context stands before its message, with a byte 4 between."""
    found: dict[str, set[str]] = {}
    for file in sorted(SOURCE.rglob("*.*")):
        name = file.relative_to(SOURCE).as_posix()
        if name.startswith(NOT_SHOWN) or file.suffix not in (".py", ".js"):
            continue
        source = file.read_text(encoding="utf-8")
        for text in Module(source).messages() if file.suffix == ".py" else script_messages(source):
            found.setdefault(text, set()).add(f"src/regraft/{name}")
    for line in MORE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            context, _, text = line.rpartition(" | ")
            found.setdefault(f"{context}\x04{text}" if context else text, set()).add("scripts/more_messages.txt")
    return {text: sorted(files) for text, files in sorted(found.items(), key=lambda one: (min(one[1]), one[0]))}


def is_prose(text: str) -> bool:
    """Return whether a template is language, not a path, a pattern or code."""
    return PROSE.search(text) is not None and not re.match(
        r"(SELECT|INSERT|CREATE|PRAGMA|UPDATE|DELETE|use strict)\b", text
    )


def script_messages(source: str) -> Iterator[str]:
    """Yield the messages of a script; their context keeps their templates from fitting other texts."""
    yield from (f"script\x04{text}" for text in strings(source) if is_prose(text))


class Module:
    """The messages of a Python module.

    Args:
        source: its text.
    """

    def __init__(self, source: str) -> None:
        self._tree = ast.parse(source)
        self._parents = {child: node for node in ast.walk(self._tree) for child in ast.iter_child_nodes(node)}

    def messages(self) -> Iterator[str]:
        """Yield the messages, some of them several times."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call):
                yield from _screen_words(node)
                yield from _counts(node)
            elif isinstance(node, ast.FunctionDef) and _is_command(node):
                yield from help_texts(ast.get_docstring(node) or "")
            elif isinstance(node, (ast.JoinedStr, ast.Constant)) and not self._is_other(node):
                yield from _texts(template_of(node) or "")

    def _is_other(self, node: ast.expr) -> bool:
        """Return whether the place of a string says that it is not shown, or is a part of another text."""
        child: ast.AST = node
        while (parent := self._parents.get(child)) is not None:
            if isinstance(parent, (ast.JoinedStr, ast.Compare)) or (isinstance(parent, ast.Expr) and child is node):
                return True
            if child in (getattr(parent, "slice", None), getattr(parent, "annotation", None)):
                return True
            if isinstance(parent, ast.Dict) and child in parent.keys:
                return True
            if isinstance(parent, ast.Call) and child is not parent.func:
                if isinstance(self._parents.get(parent), ast.Raise):
                    return _name(parent.func) in OTHER_ERRORS
                if _name(parent.func) in OTHER_CALLS:
                    return True
            if isinstance(parent, (ast.FormattedValue, ast.stmt)):
                return False
            child = parent
        return False


def _name(function: ast.expr) -> str:
    return str(getattr(function, "attr", getattr(function, "id", "")))


def _is_command(function: ast.FunctionDef) -> bool:
    return any(re.search(r"\b(command|group)\(", ast.unparse(one)) for one in function.decorator_list)


def _texts(template: str) -> Iterator[str]:
    if MARKUP.search(template) and "(?P<" not in template:
        yield from filter(letters_of, pieces(template))
    elif "\b" in template:
        yield from help_texts(template)
    elif is_prose(template):
        yield template.strip()


def _screen_words(call: ast.Call) -> Iterator[str]:
    if isinstance(call.func, ast.Attribute):
        for number in SCREEN_WORDS.get(call.func.attr, ()):
            for node in ast.walk(call.args[number]) if number < len(call.args) else ():
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and LETTERS.search(node.value):
                    yield node.value


def _counts(call: ast.Call) -> Iterator[str]:
    if _name(call.func) == "counted" and len(call.args) >= 2:
        one = template_of(call.args[1])
        several = template_of(call.args[2]) if len(call.args) > 2 else None
        yield from (f"{{n:n}} {one}", f"{{n:n}} {several or f'{one}s'}") if one else ()


def template_of(node: ast.expr) -> str | None:
    """Return a string or an f-string as a template, or None for another expression."""
    if isinstance(node, ast.Constant):
        return escaped(node.value) if isinstance(node.value, str) else None
    if not isinstance(node, ast.JoinedStr):
        return None
    parts, used = [], dict[str, int]()
    for value in node.values:
        if isinstance(value, ast.Constant):
            parts.append(escaped(str(value.value)))
        elif isinstance(value, ast.FormattedValue):
            name = placeholder(value.value)
            used[name] = used.get(name, 0) + 1
            number = f"_{used[name]}" if used[name] > 1 else ""
            parts.append(f"{{{name}{number}{':n' if _is_number(value) else ''}}}")
    return "".join(parts)


def _is_number(value: ast.FormattedValue) -> bool:
    spec = ast.unparse(value.format_spec)[2:-1] if value.format_spec is not None else ""
    return bool(spec) and NUMBER_SPEC.match(spec) is not None and spec[0] not in "<>^"


def placeholder(expression: ast.expr) -> str:
    """Return a name for the value of an expression: the last name, attribute or key in it."""
    other = {"if", "else", "for", "in", "and", "or", "not", "is", "None", "True", "False", "f", "s", "str", "int"}
    words = [word for word in re.findall(r"[A-Za-z_]\w*", ast.unparse(expression)) if word not in other]
    return words[-1].strip("_").lower() or "value" if words else "value"


def help_texts(text: str) -> Iterator[str]:
    """Yield the texts of a help text as they are shown: whole paragraphs, but lines after a backspace one by one."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if "\b" not in paragraph:
            yield " ".join(paragraph.split())
            continue
        for line in paragraph.replace("\b", "").splitlines():
            parts = [part for part in re.split(r" {2,}", line.strip()) if part and not part.startswith("regraft ")]
            yield from (part for part in parts if is_prose(part) or part == line.strip())


def update(language: str) -> Catalog:
    """Bring the catalogue of a language up to date with the source, write it as ``.po`` and ``.mo``, and return it."""
    from babel.messages.catalog import Catalog
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po, write_po

    file = SOURCE / "language" / language / "LC_MESSAGES" / "regraft.po"
    with file.open("rb") as opened:
        catalogue = read_po(opened, locale=language)
    template = Catalog(fuzzy=False)
    for text, files in messages().items():
        context, _, message = text.rpartition("\x04")
        places: Any = [(name, None) for name in files]  # lines would change with every edit
        template.add(message, locations=places, context=context or None)
    created = catalogue.creation_date  # a date of today would change the file at every call
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.creation_date = created
    catalogue.obsolete.clear()
    with file.open("wb") as opened:
        write_po(opened, catalogue, width=120, sort_by_file=True, omit_header=False)
    with file.with_suffix(".mo").open("wb") as opened:
        write_mo(opened, catalogue)
    return catalogue


def main(languages: list[str]) -> int:
    """Update catalogues, print messages without a translation, and return 1 if there are any."""
    missing = 0
    for language in languages or [one for one in LANGUAGES if one != ENGLISH]:
        for message in update(language):
            if message.id and not message.string:
                missing += 1
                print(f"{language}: {message.id!r}")
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
