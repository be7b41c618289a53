"""Builder of the documentation site: `make site`. It needs the extra `site`, and no network.

    python scripts/build_site.py [--out FOLDER] [--publish]

writes the English site into FOLDER (`site/`) and the Chinese one into FOLDER/zh_TW. `python -m http.server -d site`
shows it. With `--publish`, FOLDER holds several versions: the site is written into FOLDER/VERSION, and
FOLDER/versions.json lists the versions, from which the header of each page offers a choice.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from site_navigation import navigation
from site_pages import CHINESE, ROOT, Site, assets, chinese_site, code_page, english_site, markdown
from site_reference import reference_pages

PARTS = ROOT / "scripts" / "site"
HOME = """\
<!doctype html><meta charset="utf-8"><title>regraft</title>
<meta http-equiv="refresh" content="0; url={newest}/"><a href="{newest}/">regraft {newest}</a>
"""
WIDE = ("migrate/",)
"""Pages whose code stands side by side: they have no table of contents next to the text."""


def main() -> int:
    """Build the site; return the exit code of the generator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="folder of the site")
    parser.add_argument("--publish", action="store_true", help="add this version to the versions in the folder")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    version = read_version()
    target = out / version if arguments.publish else out
    shutil.rmtree(target, ignore_errors=True)
    for language, site in languages().items():
        place = target if language == "en" else target / language
        with tempfile.TemporaryDirectory(prefix="regraft-site-") as name:
            staging = Path(name).resolve()
            write_sources(staging / "docs", language, site)
            configuration = staging / "mkdocs.yml"
            configuration.write_text(configure(language, site, version, arguments.publish), encoding="utf-8")
            build = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "-f", str(configuration)]
            code = subprocess.run(build, check=False).returncode
            if code:
                return code
            shutil.copytree(staging / "site", place, dirs_exist_ok=True)
    if arguments.publish:
        list_version(out, version)
    print(f"wrote {target}")
    return 0


def languages() -> dict[str, Site]:
    """Return the sites by language: English, and Chinese where docs/zh_TW has a home page."""
    chinese = chinese_site()
    return {"en": english_site()} | ({CHINESE: chinese} if chinese else {})


def read_version() -> str:
    """Return the version of regraft."""
    line = (ROOT / "src" / "regraft" / "_version.py").read_text(encoding="utf-8")
    return line.partition('__version__ = "')[2].partition('"')[0]


def write_sources(folder: Path, language: str, site: Site) -> None:
    """Write the Markdown files of a site, with its pictures and its style, into a folder."""
    texts = {place: markdown(site, name) for name, place in site.pages.items() if name != "README.md"}
    texts |= {place: code_page(path) for path, place in site.code.items()}
    if language == "en":
        texts |= reference_pages()
    for place, text in texts.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = "---\nhide: [toc]\n---\n\n" if place.startswith(WIDE) else ""
        path.write_text(hidden + text, encoding="utf-8")
    for source, place in assets() if language == "en" else ():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / place)
    (folder / "assets").mkdir(exist_ok=True)
    for name in ("site.css", "site.js"):
        shutil.copyfile(PARTS / name, folder / "assets" / name)


def configure(language: str, site: Site, version: str, several: bool) -> str:
    """Return the configuration of a language: the common one with names, folders, languages and navigation."""
    places = set(site.pages.values()) | (set(reference_pages()) if language == "en" else set())
    english = language == "en"
    extra: dict[str, Any] = {"alternate": alternate(english), "twins": twins()} if len(languages()) > 1 else {}
    if several:
        extra["version"] = {"provider": "mike"}
    python = {"paths": [str(ROOT / "src")], "options": {"extensions": [str(PARTS / "plural_examples.py")]}}
    own = {
        "INHERIT": str(PARTS / "mkdocs.yml"),
        "site_name": f"regraft {version}",
        "docs_dir": "docs",
        "site_dir": "site",
        "nav": navigation(places, language),
        "theme": {"language": "en" if english else "zh-TW", "custom_dir": str(PARTS / "overrides")},
        "extra": extra,
        "plugins": {"mkdocstrings": {"handlers": {"python": python}}},
    }
    return yaml.safe_dump(own, allow_unicode=True, sort_keys=False)


def alternate(english: bool) -> list[dict[str, str]]:
    """Return the languages that a page offers, with addresses relative to the home page of its own language."""
    return [
        {"name": "English", "link": "./" if english else "../", "lang": "en"},
        {"name": "繁體中文", "link": f"{CHINESE}/" if english else "./", "lang": "zh-TW"},
    ]


def twins() -> list[str]:
    """Return the addresses of pages that are there in both languages."""
    english, chinese = (set(site.pages.values()) for site in languages().values())
    return sorted(re.sub(r"(^|/)index\.md$|\.md$", "/", place).lstrip("/") for place in english & chinese)


def list_version(out: Path, version: str) -> None:
    """Add a version to the list of versions in a folder, the newest first, and lead its home page to the newest."""
    path = out / "versions.json"
    listed = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    names = sorted({version, *(entry["version"] for entry in listed)}, key=numbers, reverse=True)
    entries = [{"version": name, "title": name, "aliases": ["latest"] if name == names[0] else []} for name in names]
    path.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    (out / "index.html").write_text(HOME.format(newest=names[0]), encoding="utf-8")


def numbers(version: str) -> list[int]:
    """Return the numbers of a version, to sort by."""
    return [int(part) for part in re.findall(r"\d+", version)]


if __name__ == "__main__":
    sys.exit(main())
