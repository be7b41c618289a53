"""The frame of every page: head, security policy, shared style, and escaped text.

The report, the check page and the live page share one design, in ``page.css``. A page is built like this::

    body = f'<header class="top"><h1>{text(name)}</h1></header><main><section>…</section></main>'
    html = page(name, body, css=[resource("report.css")], js=[resource("report.js")])

- Every text from outside (names of files and classes, messages) goes through `text`, or through `json_attribute` for
  an attribute that a script reads. A script sets ``textContent``, never ``innerHTML``.
- The policy allows no request at all, and only the styles and scripts given here, by their hashes. So attributes
  ``style="…"`` and ``onclick="…"`` have no effect: use classes, attributes of SVG elements, and `addEventListener`. A
  page that a server sends may pass ``allow=["connect-src 'self'"]``.
- ``page.css`` has the colors as variables, for light and dark screens: ``--ink``, ``--soft`` (less important text),
  ``--line``, ``--card``, ``--accent``, ``--good``, ``--bad``, ``--warn``, ``--c1`` to ``--c8`` for series of charts,
  which people with any color vision can tell apart. Its classes: ``top`` (header), ``lead`` (the one sentence that
  matters), ``facts`` (a list of figures, ``dl``), ``data`` (a table), ``scroll`` (around what may be too wide),
  ``note``, ``problem``, ``chip``, ``row``, ``chart``, ``hidden`` (for screen readers only).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources
from typing import Any

from regraft.language import language, translate_word
from regraft.language.choice import tag
from regraft.language.html import translate_html
from regraft.language.javascript import translate_script
from regraft.screen import printable


def page(
    title: str,
    body: str,
    *,
    css: Sequence[str] = (),
    js: Sequence[str] = (),
    attributes: str = "",
    allow: Sequence[str] = (),
    scripts_from: Sequence[str] = (),
) -> str:
    """Return a complete page that loads nothing from anywhere.

    Args:
        title: the title, as plain text.
        body: the content of the body, as HTML.
        css: styles that this page adds to ``page.css``.
        js: its scripts; they run after the body has been read.
        attributes: attributes of the body, as HTML.
        allow: more directives of the security policy.
        scripts_from: more sources of scripts, such as ``blob:``.
    """
    js = [translate_script(script) for script in js]
    style = "".join((resource("page.css"), *css))
    scripts = "".join(f"<script>{script}</script>" for script in js)
    sources = " ".join([*map(_hash, js), *scripts_from]) or "'none'"
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src {_hash(style)}",
            f"script-src {sources}",
            "base-uri 'none'",
            "form-action 'none'",
            *allow,
        ]
    )
    return f"""<!DOCTYPE html>
<html lang="{tag(language())}"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>{text(translate_word(title))}</title>
<style>{style}</style></head><body{" " + attributes if attributes else ""}>
{translate_html(body)}
{scripts}</body></html>
"""


def text(value: object) -> str:
    """Return ``value`` as text, escaped for an element or an attribute, with control characters made visible."""
    return escape(printable(str(value).encode("utf-8", "replace").decode("utf-8")), quote=True)


def name(value: object) -> str:
    """Return a name from outside as HTML that keeps its direction of writing to itself: ``<bdi>…</bdi>``."""
    return f"<bdi>{text(value)}</bdi>"


def json_attribute(value: Any) -> str:
    """Return ``value`` as JSON, escaped for an attribute that a script reads."""
    return escape(json.dumps(value), quote=True)


@cache
def resource(name: str, package: str = "regraft.report") -> str:
    """Return the text of a file of a package, such as ``"page.css"``."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"
