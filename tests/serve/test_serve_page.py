"""The page: photos are chosen or dropped, and their classes appear; it is accessible and fits a phone."""

from __future__ import annotations

import pytest

from chromium import serious_problems, wait_until
from regraft.serve.limits import Limits
from regraft.serve.serve_page import serve_page
from serve.conftest import photo, running


@pytest.mark.slow
def test_photos_on_the_page(page, model_file):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    with running(model_file, limits=Limits(body=100_000)) as (_, address):
        page.goto(address)
        assert serious_problems(page) == []
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "files"
        files = [
            {"name": "a & b.jpg", "mimeType": "image/jpeg", "buffer": photo(1)},
            {"name": "text.jpg", "mimeType": "image/jpeg", "buffer": b"no photo"},
            {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": photo(1) + b"x" * 100_000},
        ]
        page.set_input_files("#files", files)
        wait_until(page, "() => document.getElementById('state').textContent === '1 classified · 2 not classified'")
        texts = {row.query_selector(".note").inner_text(): row.inner_text() for row in page.query_selector_all("li")}
        assert texts["a & b.jpg"].split()[3] in ("ant", "bee", "wasp") and texts["a & b.jpg"].count("%") == 3
        assert texts["text.jpg"].endswith("not a photo: text")
        assert texts["large.jpg"].endswith("the body is too large; at most 100,000 bytes")
        for width, scheme in ((390, "dark"), (390, "light"), (1280, "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            assert serious_problems(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert asked and all(url.startswith(address) for url in asked)
    page.errors.clear()  # the browser reports the answers 400 and 413 as errors


def test_names_are_text_and_the_policy_allows_only_this_server():
    html = serve_page("<b>.safetensors", ["<script>alert(1)</script>", *map(str, range(40))], Limits())
    assert "<script>alert" not in html and "&lt;b&gt;.safetensors" in html and "and 11 more classes" in html
    policy = html.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "http" not in policy
