"""Pages of the documentation site: Markdown files of the repository, with links that work in the site.

A page of docs/ keeps its path. CONTRIBUTING.md, CHANGELOG.md and benchmarks/README.md are pages too, and a file of code
that a page links to becomes a page with that code. Pages of docs/zh_TW/ are a site of their own below `zh_TW/`; their
links to pages that are not translated lead to the English ones.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from regraft.language.typography import without_breaks

ROOT = Path(__file__).resolve().parent.parent
OTHER_PAGES = {
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "benchmarks/README.md": "project/benchmark-scripts.md",
}
CHINESE = "zh_TW"
FENCED = re.compile(r"^( *)(`{3,}).*?^\1\2`*\s*?$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(\]\()([^)\s#]*)(#[^)\s]*)?(\))")
FILE_NAME = re.compile(r"\[(?:docs/)?[\w-]+\.md\]\(([^)\s#]+\.md)")
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
PYGMENTS = {".py": "python", ".toml": "toml", ".sh": "sh", ".md": "markdown", ".csv": "text", ".json": "json"}


@dataclass
class Site:
    """Pages of one language, and the pages of code that their links need."""

    pages: dict[str, str]
    """Path in the site by path in the repository."""
    english: dict[str, str] = field(default_factory=dict)
    """The same for the English site, where this one is another."""
    code: dict[str, str] = field(default_factory=dict)
    """Files of code that pages link to, by path in the repository: path in the site."""


def english_site() -> Site:
    """Return the pages of the English site."""
    docs = sorted((ROOT / "docs").rglob("*.md"))
    pages = {_name(path): path.relative_to(ROOT / "docs").as_posix() for path in docs}
    pages = {name: place for name, place in pages.items() if not place.startswith(f"{CHINESE}/")}
    return Site({**pages, **OTHER_PAGES, "README.md": "index.md"})


def chinese_site() -> Site | None:
    """Return the pages of the Chinese site, or None where there are none."""
    folder = ROOT / "docs" / CHINESE
    pages = {_name(path): path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.md"))}
    if "index.md" not in pages.values() and (ROOT / "README.zh-TW.md").is_file():
        pages["README.zh-TW.md"] = "index.md"
    return Site(pages, english_site().pages) if "index.md" in pages.values() else None


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def markdown(site: Site, name: str) -> str:
    """Return the text of a page with the links of the site; a link named by a file is named by the title of its page.

    Raises:
        FileNotFoundError: a link leads to no file of the repository.
    """
    text = (ROOT / name).read_text(encoding="utf-8")
    here = site.pages[name]

    def link(found: re.Match[str]) -> str:
        target, anchor = found[2], found[3] or ""
        if not target or re.match(r"[a-z]+:", target):
            return found[0]
        return f"{found[1]}{_address(site, name, here, target)}{anchor}{found[4]}"

    def titled(found: re.Match[str]) -> str:
        target = ROOT / posixpath.normpath(posixpath.join(posixpath.dirname(name), found[1]))
        title = TITLE.search(target.read_text(encoding="utf-8")) if target.is_file() else None
        return f"[{title[1]}]({found[1]}" if title else found[0]

    return outside_code(text, lambda part: without_breaks(LINK.sub(link, FILE_NAME.sub(titled, part))))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return a page with its text outside fenced code changed."""
    parts, end = [], 0
    for block in FENCED.finditer(text):
        parts += [change(text[end : block.start()]), _nested(block)]
        end = block.end()
    return "".join([*parts, change(text[end:])])


def _nested(block: re.Match[str]) -> str:
    """Return a block of code; in a list, it has the four spaces that the generator expects."""
    missing = " " * (-len(block[1]) % 4)
    return "".join(missing + line for line in block[0].splitlines(keepends=True))


def _address(site: Site, name: str, here: str, target: str) -> str:
    """Return where a link of a page leads in the site: to a page or a picture, or to a page with the code of a file."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if (ROOT / path).is_dir():
        path = posixpath.join(path, "README.md")
    if not (ROOT / path).is_file():
        raise FileNotFoundError(f"{name}: the link to {target} leads to no file")
    start = posixpath.dirname(here)
    if path in site.pages:
        return posixpath.relpath(site.pages[path], start)
    if path in site.english:
        return _between_languages(f"{CHINESE}/{here}", site.english[path])
    if path.startswith("docs/"):
        place = path.removeprefix("docs/")
        if site.english or path.endswith(".md"):
            return _between_languages(f"{CHINESE}/{here}" if site.english else here, place)
        return posixpath.relpath(place, start)
    place = site.code.setdefault(path, f"source/{path}.md")
    return posixpath.relpath(place, start)


def _between_languages(here: str, place: str) -> str:
    """Return the address of a page or a picture of the other language, relative to the Markdown file."""
    address = posixpath.relpath(_address_of(place), posixpath.dirname(here) or ".")
    return f"{address}/" if place.endswith(".md") else address


def _address_of(place: str) -> str:
    """Return the folder that has the page of a Markdown file; the file itself, if it is no page."""
    return re.sub(r"(^|/)index\.md$|\.md$", "", place) or "."


def code_page(path: str) -> str:
    """Return a page with the code of a file."""
    code = (ROOT / path).read_text(encoding="utf-8")
    fence = "`" * 4
    return f"# {path}\n\n{fence}{PYGMENTS.get(Path(path).suffix, 'text')}\n{code}{fence}\n"


def assets() -> Iterator[tuple[Path, str]]:
    """Yield pictures and other files of docs/ that are not pages, with their paths in the site."""
    for path in sorted((ROOT / "docs").rglob("*")):
        if path.is_file() and path.suffix not in {".md", ".toml"} and not path.name.startswith("."):
            yield path, os.path.relpath(path, ROOT / "docs").replace(os.sep, "/")
