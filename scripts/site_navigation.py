"""Navigation of the documentation site: the order of docs/navigation.toml, and other pages by rule."""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HIDDEN = ("index.md", "source/")


def read_sections() -> list[dict[str, Any]]:
    """Return the sections of docs/navigation.toml."""
    sections: list[dict[str, Any]] = tomllib.loads((ROOT / "docs" / "navigation.toml").read_text("utf-8"))["section"]
    return sections


def navigation(places: Collection[str], language: str = "en") -> list[dict[str, Any]]:
    """Return the navigation of the pages at ``places``, as MkDocs writes it: home, then sections in order.

    A page that no section lists belongs to the section of its folder; in a folder that has no section, to that of ".".
    """
    sections = read_sections()
    listed = {place for section in sections for place in section["pages"]}
    folders = {section["folder"] for section in sections}
    others: dict[str, list[str]] = {folder: [] for folder in folders}
    for place in sorted(places):
        if place not in listed and not place.startswith(HIDDEN):
            folder = posixpath.dirname(place) or "."
            others[folder if folder in folders else "."].append(place)
    result: list[dict[str, Any]] = [{"首頁" if language != "en" else "Home": "index.md"}]
    for section in sections:
        pages = [place for place in section["pages"] if place in places] + others[section["folder"]]
        if pages:
            result.append({section["title"] if language == "en" else section[language]: pages})
    return result
