"""Chromium for tests of pages, one for all of them; they are skipped on a machine without it."""

from __future__ import annotations

import shutil
from functools import cache

import pytest


@cache
def _launched(program):
    """Return a running Chromium; it ends with the process. Modules that import the fixture share it."""
    from playwright.sync_api import sync_playwright

    return sync_playwright().start().chromium.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture(scope="session")
def chromium():
    """A running Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine: sh scripts/install_browser.sh")
    return _launched(program)


@pytest.fixture
def page(chromium):
    """An empty page; at the end of the test it must have had no error."""
    page, errors = chromium.new_page(viewport={"width": 1280, "height": 900}), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.errors = errors
    yield page
    page.close()
    assert errors == []


def serious_problems(page):
    """Return what axe-core finds serious or critical on a page, in words."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")
    ]


def wait_until(page, function, arg=None):
    """Wait until a function of the page returns true; the security policy of our pages forbids Playwright's own way."""
    while not page.evaluate(function, arg):
        page.wait_for_timeout(20)
