"""Links of the pages lead to files and headings."""

from __future__ import annotations

import posixpath

import pytest

from doc_pages import PAGES, ROOT, anchors_of, links_of, name_of, text_of

NAMES = [name_of(page) for page in PAGES]


def test_pages_and_links_were_found():
    assert len(NAMES) >= 40
    assert sum(len(links_of(name)) for name in NAMES) >= 250
    assert sum("#" in link for name in NAMES for link in links_of(name)) >= 40
    assert "against-others" in anchors_of("docs/resume.md")


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files_and_headings(name):
    for link in links_of(name):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
        assert (ROOT / target).exists(), f"{name}: {link}"
        if anchor and target.endswith(".md"):
            assert anchor in anchors_of(target), f"{name}: {link}; there are {sorted(anchors_of(target))}"


@pytest.mark.parametrize("name", NAMES)
def test_every_link_is_seen_by_the_builder_of_the_site(name):
    """The builder finds links by an expression; a link in another form would not be translated for the site."""
    from site_pages import LINK, outside_code

    seen = []
    outside_code(text_of(name), lambda part: seen.extend(m[2] + (m[3] or "") for m in LINK.finditer(part)) or part)
    assert {link for link in links_of(name) if not link.startswith("http")} <= set(seen)
