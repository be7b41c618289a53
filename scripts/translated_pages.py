"""The age of translated pages and lessons: each names its source, the hash of it, and the release it was made for.

    python scripts/translated_pages.py            mark pages that are older than their source; print them
    python scripts/translated_pages.py PAGE …     record that these pages fit their sources as they are now

A page that is older than its source gets a note below its title, and a lesson a line in its first cell. In the release
that follows, a page that is still marked fails the tests.
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LESSONS = "src/regraft/lessons/content/"

STAMP = re.compile(r"^(<!--|#) source: (\S+) · sha256 ([0-9a-f]{12}) · release (\d+\.\d+)( -->)?\n", re.MULTILINE)
NOTE = "本頁譯自較早的版本；英文版已有更動。"
"""What an old page says; "This page was translated from an earlier version; the English one has changed."."""

_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_CODE_CELL = re.compile(r"^# %%\n(.*?)(?=^# %%|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """A translated page or lesson.

    Attributes:
        path: its path below the repository.
        source: the path of its source.
    """

    path: str
    source: str

    @property
    def text(self) -> str:
        """Its text."""
        return (ROOT / self.path).read_text(encoding="utf-8")

    @property
    def stamp(self) -> tuple[str, str, str]:
        """The recorded source, hash and release; three empty texts if there are none."""
        match = STAMP.search(self.text)
        return (match[2], match[3], match[4]) if match else ("", "", "")

    @property
    def is_current(self) -> bool:
        """Whether its source is the one that it was made from."""
        return self.stamp[:2] == (self.source, source_hash(self.source))

    @property
    def is_marked(self) -> bool:
        """Whether it says that it is older than its source."""
        return NOTE in self.text

    def write(self, *, recorded: bool) -> None:
        """Write the page with its stamp and, if it is not current, with its note.

        Args:
            recorded: whether it fits its source as that is now.
        """
        stamp = (self.source, source_hash(self.source), release()) if recorded else self.stamp
        body = STAMP.sub("", self.text).replace(f"> {NOTE}\n\n", "").replace(f"# > {NOTE}\n#\n", "")
        line = f"source: {stamp[0]} · sha256 {stamp[1]} · release {stamp[2]}"
        old = stamp[1] != source_hash(self.source)
        if self.path.endswith(".py"):
            note = f"# > {NOTE}\n#\n" if old else ""
            title, rest = re.split(r"(?<=\n)#\n", body, maxsplit=1)
            text = f"# {line}\n{title}#\n{note}{rest}"
        else:
            note = f"> {NOTE}\n\n" if old else ""
            title, rest = body.split("\n\n", 1)
            text = f"{title}\n\n{note}{rest.rstrip()}\n\n<!-- {line} -->\n"
        (ROOT / self.path).write_text(text, encoding="utf-8")


def pages() -> list[Page]:
    """Return all translated pages and lessons."""
    found = [Page("README.zh-TW.md", "README.md")]
    for path in sorted((ROOT / "docs" / "zh_TW").rglob("*.md")):
        name = path.relative_to(ROOT).as_posix()
        if path.name != "glossary.md":  # it has no English source
            found.append(Page(name, name.replace("zh_TW/", "")))
    lessons = sorted((ROOT / LESSONS / "zh_TW").glob("*.py"))
    return found + [Page(path.relative_to(ROOT).as_posix(), LESSONS + path.name) for path in lessons]


def source_hash(source: str) -> str:
    """Return the hash of a source, without the code: this has to be the same in the translation in any case."""
    text = (ROOT / source).read_text(encoding="utf-8")
    prose = (_CODE_CELL if source.endswith(".py") else _FENCE).sub("", text)
    return hashlib.sha256(prose.encode()).hexdigest()[:12]


def code_of(path: str) -> list[str]:
    """Return the blocks of code of a page, or the cells of code of a lesson."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return [match[0].strip() for match in (_CODE_CELL if path.endswith(".py") else _FENCE).finditer(text)]


def release() -> str:
    """Return the release that is being made, such as ``"0.1"``."""
    version = (ROOT / "src" / "regraft" / "_version.py").read_text(encoding="utf-8")
    return ".".join(re.findall(r"\d+", version.partition("__version__")[2])[:2])


def main(arguments: list[str]) -> int:
    """Record the named pages, or mark all old ones."""
    for page in pages():
        if page.path in arguments:
            page.write(recorded=True)
        elif not arguments:
            page.write(recorded=False)
            if not page.is_current:
                print(f"{page.path} is older than {page.source}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
