"""Forbidden phrases of docs/glossary.md in docstrings, comments, messages and pages.

python scripts/check_words.py [PATH ...]     without a path: src, docs, examples and README.md

Prints file, line, phrase and the better word, then the number of hits per package; exit code 1 if there are any. Code
in backticks and in code blocks is not prose, nor is a string without a space, nor one that is a phrase and nothing
else, such as a status word of a file format.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
GLOSSARY = TREE / "docs" / "glossary.md"
DEFAULT = ("src", "docs", "examples", "README.md")

QUOTED = re.compile(r'"([^"]+)"')
CODE = re.compile(r"``.*?``|`[^`]*`|https?://\S+", re.DOTALL)
ARGUMENT = re.compile(r"^ +\*{0,2}\w+(?=:)", re.MULTILINE)
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
CLAUSE_END = r"(?=\s*(?:[.,;:)]|\Z))"
RELATIVE = re.compile(r"(?:What|Which|Where|How|Whether|When)\b")
NOUN_FIRST = "begin a module docstring with a noun phrase"


@dataclass(frozen=True)
class Rule:
    """A row of the glossary: its forbidden phrases, the longer phrases that are allowed, and what to write."""

    forbidden: re.Pattern[str]
    allowed: re.Pattern[str] | None
    better: str

    def matches(self, text: str) -> Iterator[re.Match[str]]:
        """Yield the forbidden phrases in ``text``."""
        spans = [match.span() for match in self.allowed.finditer(text)] if self.allowed else []
        for match in self.forbidden.finditer(text):
            if not any(start <= match.start() and match.end() <= end for start, end in spans):
                yield match


@dataclass(frozen=True, order=True)
class Hit:
    """A phrase to replace."""

    path: Path
    line: int
    phrase: str
    better: str

    def __str__(self) -> str:
        path = self.path.relative_to(TREE) if self.path.is_relative_to(TREE) else self.path
        return f'{path}:{self.line}: "{self.phrase}"; write: {self.better}'


@dataclass(frozen=True)
class Prose:
    """A piece of text, the line on which it begins, and whether line breaks in it are those of the file."""

    text: str
    line: int
    verbatim: bool = True


def read_rules(glossary: str) -> list[Rule]:
    """Return the rules of a glossary page: table rows whose third cell has phrases in quotation marks."""
    rules = []
    for row in re.findall(r"^\|(.*)\|$", glossary, re.MULTILINE):
        better, _meaning, rest = (cell.strip() for cell in row.split("|"))
        forbidden, _, allowed = rest.partition(" except ")
        if QUOTED.search(forbidden):
            exceptions = _any_of(QUOTED.findall(allowed)) if allowed else None
            rules.append(Rule(_any_of(QUOTED.findall(forbidden)), exceptions, better))
    return rules


def _any_of(phrases: list[str]) -> re.Pattern[str]:
    """Return a pattern: ``a/b`` is a choice, a final ``*`` any ending of a word, a final ``.`` the end of a clause."""
    patterns = []
    for phrase in phrases:
        words = ["|".join(map(re.escape, word.split("/"))) for word in phrase.removesuffix(".").split()]
        pattern = r"\s+".join(f"(?:{word})" for word in words).replace(r"\*", r"\w*")
        patterns.append(rf"\b{pattern}\b" + (CLAUSE_END if phrase.endswith(".") else ""))
    return re.compile("|".join(sorted(patterns, key=len, reverse=True)), re.IGNORECASE)


def find_hits(path: Path, rules: list[Rule]) -> list[Hit]:
    """Return the hits in a Python file or a page, by line."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return _hits_in(path, source, Prose(CODE_BLOCK.sub(_blank, source), 1), rules)
    tree = ast.parse(source)
    hits = [hit for prose in [*_comments(source), *_strings(tree)] for hit in _hits_in(path, source, prose, rules)]
    first = RELATIVE.match(ast.get_docstring(tree) or "")
    if first:
        hits.append(Hit(path, tree.body[0].lineno, first[0], NOUN_FIRST))
    return sorted(hits)


def _hits_in(path: Path, source: str, prose: Prose, rules: list[Rule]) -> list[Hit]:
    text = ARGUMENT.sub(_blank, CODE.sub(_blank, prose.text))
    by_position: dict[int, Hit] = {}
    for rule in rules:
        for match in rule.matches(text):
            if match[0] == prose.text:
                continue
            phrase = " ".join(match[0].split())
            before = text.count("\n", 0, match.start())
            line = prose.line + before if prose.verbatim else _line_of(phrase, source, prose.line)
            by_position.setdefault(match.start(), Hit(path, line, phrase, rule.better))
    return list(by_position.values())


def _blank(match: re.Match[str]) -> str:
    """Return what replaces code in a text: no word, and as many lines."""
    return "`" + "\n" * match[0].count("\n") + "`"


def _line_of(phrase: str, source: str, start: int) -> int:
    """Return the line from ``start`` on that has the phrase, among the next few; ``start`` if none has it."""
    lines = source.splitlines()[start - 1 : start + 9]
    return next((start + i for i, line in enumerate(lines) if phrase in line), start)


def _comments(source: str) -> Iterator[Prose]:
    """Yield the comments of a Python file; comments on consecutive lines are one text."""
    text, start, end, column = "", 0, -1, -1
    for token in tokenize.generate_tokens(iter(source.splitlines(keepends=True)).__next__):
        if token.type != tokenize.COMMENT:
            continue
        line, at = token.start
        if line == end + 1 and at == column:
            text += "\n" + token.string.lstrip("# ")
        else:
            yield Prose(text, start)
            text, start, column = token.string.lstrip("# "), line, at
        end = line
    yield Prose(text, start)


def _strings(tree: ast.Module) -> Iterator[Prose]:
    """Yield docstrings and all other strings of a Python file that have a space; ``{}`` stands for a value in one."""
    in_f_string: set[int] = set()
    for node in ast.walk(tree):  # a parent comes before its children
        if isinstance(node, ast.JoinedStr):
            in_f_string.update(id(part) for part in node.values)
            parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield from _prose("".join(parts), node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in in_f_string:
            yield from _prose(node.value, node)


def _prose(text: str, node: ast.expr) -> Iterator[Prose]:
    if " " in text:
        lines = (node.end_lineno or node.lineno) - node.lineno
        yield Prose(text, node.lineno, verbatim=lines == text.count("\n"))


def files_of(paths: list[Path]) -> list[Path]:
    """Return the Python files and pages among and below ``paths``, without the glossary."""
    files = {file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])}
    return sorted(file for file in files if file.suffix in {".py", ".md"} and file != GLOSSARY)


def package_of(path: Path) -> str:
    """Return the package below src/regraft that a file is in, or its folder."""
    parts = (path.relative_to(TREE) if path.is_relative_to(TREE) else path).parts
    return "/".join(parts[2:-1][:1] or parts[-1:]) if parts[0] == "src" else parts[0]


def main() -> int:
    """Print all hits and their number; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path)
    given = parser.parse_args().paths
    rules = read_rules(GLOSSARY.read_text(encoding="utf-8"))
    files = files_of([path.resolve() for path in given] or [TREE / name for name in DEFAULT])
    hits = [hit for file in files for hit in find_hits(file, rules)]
    print(*hits, sep="\n", end="\n" if hits else "")
    counts = Counter(package_of(hit.path) for hit in hits)
    print(
        f"{len(hits)} phrases to replace in {len(files)} files",
        *(f"{k} {n}" for k, n in counts.most_common()),
        sep=", ",
    )
    return 1 if hits else 0


if __name__ == "__main__":
    sys.exit(main())
