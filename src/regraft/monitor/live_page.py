"""The live page: an empty frame, which its script fills with the runs that the server sends."""

from __future__ import annotations

from functools import cache

from regraft.language import language
from regraft.language.catalogue import catalogue
from regraft.report.page import json_attribute, page, resource

POLICY = ("connect-src 'self'", "frame-src 'self'")


def live_page() -> str:
    """Return the live page as HTML, in the language of the user."""
    return _page(language())


@cache
def _page(language: str) -> str:
    known = catalogue(language).words("live")
    words = f'data-words="{json_attribute(known)}"' if known else ""
    body = """<header class="top"><h1>regraft monitor</h1><p id="connection" role="status">Connecting …</p></header>
<main><p class="lead" id="lead">Waiting for a run.</p><dl class="facts" id="facts"></dl>
<section id="compare" hidden aria-labelledby="compare-title"><h2 id="compare-title">Side by side</h2>
<div class="row" id="choice"></div><div class="charts" id="charts"></div></section>
<section id="all" aria-labelledby="all-title"><h2 id="all-title">Runs</h2><div id="runs"></div>
<p class="note" id="none">No run yet. Start one with <code>regraft train PHOTOS</code>, or post figures to this address
with Keras’s <code>RemoteMonitor</code>.</p></section></main>"""
    css, *js = (resource(name, "regraft.monitor") for name in ("live.css", "chart.js", "live.js", "live_runs.js"))
    return page("regraft monitor", body, css=[css], js=js, attributes=words, allow=POLICY)
