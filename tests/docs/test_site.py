"""The built site: no broken link, nothing from other hosts, accessible pages, a search that answers."""

from __future__ import annotations

import functools
import http.server
import re
import subprocess
import sys
import threading
from collections import Counter
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

import pytest

import regraft
import regraft.callbacks
from chromium import chromium, page, serious_problems  # noqa: F401 (fixtures)
from doc_pages import PAGES, ROOT, name_of, tokens_of
from site_pages import chinese_site

pytestmark = pytest.mark.slow
LOOKED_AT = (
    "",
    "tutorial/first-classifier/",
    "check/",
    "migrate/keras/",
    "reference/regraft.training/",
    "benchmarks/",
    *(["zh_TW/"] if chinese_site() else []),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, as `make site` builds it."""
    pytest.importorskip("zensical", reason="the extra `site` is not installed: make site")
    pytest.importorskip("mkdocstrings", reason="the extra `site` is not installed: make site")
    out = tmp_path_factory.mktemp("site") / "out"
    build = [sys.executable, str(ROOT / "scripts" / "build_site.py"), "--out", str(out)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def address(site):
    """The address of a server of the site."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and prints nothing."""

    def log_message(self, *arguments):
        """Print nothing."""


class Page(HTMLParser):
    """Addresses, anchors and loaded files of a page."""

    LOADING = ("script", "img", "iframe", "source", "video", "audio")

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in self.LOADING and values.get("src"):
            self.loaded.append(values["src"])
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.loaded.append(values["href"])


@pytest.fixture(scope="module")
def pages(site):
    """All pages by their addresses."""
    found = {
        "/" + path.relative_to(site).as_posix().removesuffix("index.html"): Page(path) for path in site.rglob("*.html")
    }
    assert len(found) >= 45
    return found


def test_links_of_the_built_site_lead_somewhere(site, pages):
    broken, checked = [], 0
    for address, one in pages.items():
        for link in one.links:
            target = urlsplit(urljoin(address, link))
            if target.scheme or target.netloc or address.endswith("/404.html"):
                continue
            path, checked = unquote(target.path), checked + 1
            if path in pages:
                if target.fragment and unquote(target.fragment) not in pages[path].anchors:
                    broken.append(f"{address}: no anchor {link}")
            elif not (site / path.lstrip("/")).is_file():
                broken.append(f"{address}: {link}")
    assert broken == []
    assert checked > 2000


def test_pages_load_nothing_from_other_hosts(pages):
    loaded = {link for one in pages.values() for link in one.loaded}
    assert len(loaded) > 10
    assert {link for link in loaded if urlsplit(link).netloc} == set()


def test_the_site_shows_lists_tables_and_code_as_other_readers_of_markdown_do(site):
    """The generator reads another dialect of Markdown than GitHub: there, a list needs an empty line above it."""
    compared = 0
    for path in PAGES:
        name = name_of(path)
        if name.startswith("docs/") and not name.startswith("docs/zh_TW/"):
            place = re.sub(r"(^|/)index$", "", name.removeprefix("docs/").removesuffix(".md"))
            article = re.search(r"<article.*</article>", (site / place / "index.html").read_text("utf-8"), re.DOTALL)[0]
            kinds = Counter(token.type for token in tokens_of(name))
            assert len(re.findall(r"<li[ >]", article)) == kinds["list_item_open"], name
            assert article.count("<tr>") == kinds["tr_open"], name
            assert article.count("<pre") == kinds["fence"], name
            assert len(re.findall(r"<h[1-6]", article)) == kinds["heading_open"], name
            compared += 1
    assert compared >= 38


def test_every_public_name_has_an_entry_in_the_reference(pages):
    for name in regraft.callbacks.__all__:
        assert any(anchor.endswith(f".{name}") for anchor in pages["/reference/regraft.callbacks/"].anchors), name
    assert any(anchor.endswith(".Classifier.unfreeze") for anchor in pages["/reference/regraft/"].anchors)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
@pytest.mark.parametrize("place", LOOKED_AT)
def test_a_page_in_a_browser(page, address, place, width, scheme):  # noqa: F811
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address + place)
    assert f"regraft {regraft.__version__}" in page.title()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
    assert dark == (scheme == "dark")
    assert serious_problems(page) == []
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    assert len(requests) > 4


@pytest.mark.skipif(chinese_site() is None, reason="there are no pages in Chinese")
def test_the_language_can_be_chosen(page, address):  # noqa: F811
    page.goto(address)
    page.locator("[hreflang='zh-TW'].md-select__link").evaluate("link => link.click()")
    page.wait_for_url("**/zh_TW/")
    assert page.locator("html").get_attribute("lang") == "zh-TW"
    page.locator("[hreflang='en'].md-select__link").evaluate("link => link.click()")
    page.wait_for_url(address)


def test_the_search_answers(page, address):  # noqa: F811
    page.goto(address)
    page.locator(".md-search__button").click()
    page.keyboard.type("patience")
    result = page.get_by_text("EarlyStopping").first
    result.wait_for()
    assert result.is_visible()
