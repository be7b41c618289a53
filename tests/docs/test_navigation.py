"""Every page is in the navigation of the site once; a page that docs/navigation.toml does not list is added by rule."""

from __future__ import annotations

from itertools import chain

import regraft
import regraft.callbacks
import regraft.training
from site_navigation import navigation, read_sections
from site_pages import english_site
from site_reference import MODULES, public_names, reference_pages


def places_in(entries):
    return list(chain.from_iterable(next(iter(entry.values())) for entry in entries[1:]))


def test_each_page_of_docs_is_in_the_navigation_once():
    places = set(english_site().pages.values()) | set(reference_pages())
    shown = places_in(navigation(places))
    assert len(shown) == len(set(shown)) >= 40
    assert places - set(shown) == {"index.md"}


def test_each_page_that_is_listed_exists():
    listed = [place for section in read_sections() for place in section["pages"]]
    assert len(listed) >= 35
    assert set(listed) <= set(english_site().pages.values()) | set(reference_pages())


def test_an_unknown_page_goes_to_the_section_of_its_folder():
    entries = navigation({"index.md", "unknown.md", "tutorial/more.md", "elsewhere/deep.md"})
    assert entries == [
        {"Home": "index.md"},
        {"Tutorial": ["tutorial/more.md"]},
        {"How-to guides": ["elsewhere/deep.md", "unknown.md"]},
    ]


def test_sections_have_chinese_names():
    entries = navigation({"index.md", "tutorial/install.md"}, "zh_TW")
    assert [next(iter(entry)) for entry in entries] == ["首頁", "教學"]


def test_the_reference_has_every_public_name():
    names = [place.rpartition(".")[2] for module in MODULES for place in public_names(module)]
    assert set(regraft.__all__) - {"__version__"} <= {*names, "callbacks", "recipes"}
    assert set(regraft.callbacks.__all__) <= set(names)
    assert set(regraft.training.__all__) <= set(names)
