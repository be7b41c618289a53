"""The pages of the documentation, and the blocks of code, links and headings in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
FENCE = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<note>.*?) -->\n(?P=indent))?```(?P<language>\S*)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code: its page, the number of its first line, its language, and the comment above it."""

    page: str
    line: int
    language: str
    code: str
    note: str

    @property
    def place(self) -> str:
        """Return page and line, as an editor opens them."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Return the commands of a console block; a backslash at the end of a line joins it with the next."""
        joined = self.code.replace("\\\n", " ")
        return [line[2:].strip() for line in joined.splitlines() if line.startswith("$ ")]


def name_of(page: Path) -> str:
    """Return the path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()


@cache
def text_of(name: str) -> str:
    """Return the text of a page."""
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def blocks_of(name: str) -> tuple[Block, ...]:
    """Return the fenced blocks of a page."""
    text = text_of(name)
    return tuple(
        Block(
            name, text.count("\n", 0, m.start("code")), m["language"], _without(m["indent"], m["code"]), m["note"] or ""
        )
        for m in FENCE.finditer(text)
    )


def _without(indent: str, code: str) -> str:
    return "".join(line.removeprefix(indent) for line in code.splitlines(keepends=True))


def all_blocks() -> list[Block]:
    """Return the blocks of all pages."""
    return [block for page in PAGES for block in blocks_of(name_of(page))]


@cache
def tokens_of(name: str):
    """Return a page as markdown-it parses it: independent of the expressions above."""
    return MarkdownIt("commonmark").enable("table").parse(text_of(name))


def links_of(name: str) -> list[str]:
    """Return the targets of links and pictures of a page."""
    inline = [child for token in tokens_of(name) for child in token.children or ()]
    return [str(one.attrs.get("href") or one.attrs.get("src")) for one in inline if one.type in ("link_open", "image")]


@cache
def anchors_of(name: str) -> frozenset[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    tokens, anchors = tokens_of(name), []
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            title = "".join(one.content for one in inline.children or () if one.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            anchors.append(f"{slug}-{anchors.count(slug)}" if slug in anchors else slug)
    return frozenset(anchors)
