"""The page of a server of predictions: photos are dropped on it, and their classes appear."""

from __future__ import annotations

from collections.abc import Sequence

from regraft.report.page import name, page, resource, text
from regraft.serve.limits import Limits
from regraft.text import counted

_SHOWN_CLASSES = 30


def serve_page(file: str, classes: Sequence[str], limits: Limits) -> str:
    """Return the page as HTML; its script sends each photo to ``/predict``.

    Args:
        file: name of the model file.
        classes: names of the classes.
        limits: the limits of the server.
    """
    shown = ", ".join(name(one) for one in classes[:_SHOWN_CLASSES])
    more = f" and {counted(len(classes) - _SHOWN_CLASSES, 'more class', 'more classes')}"
    listed = shown + (more if len(classes) > _SHOWN_CLASSES else "")
    body = f"""<header class="top"><h1>regraft serve · {text(file)}</h1></header>
<main><h2 class="lead" id="lead">Which class is your photo?</h2>
<div id="drop"><p><label for="files">Drop photos here, or choose them:</label></p>
<p><input id="files" type="file" accept="image/*,.heic,.heif,.avif" multiple></p>
<p class="note">At most {limits.body / 1e6:,.0f} MB and {limits.pixels / 1e6:,.0f} megapixels for each photo.
Photos go to this server only, which does not keep them.</p></div>
<p id="state" role="status"></p><ul id="answers"></ul>
<section aria-labelledby="classes-title"><h2 id="classes-title">{text(counted(len(classes), "class", "classes"))}</h2>
<p class="wide">{listed}</p>
<p class="note">For programs: <code>POST /predict</code>, described in <a href="openapi.json">openapi.json</a>.</p>
</section></main>"""
    css, js = (resource(one, "regraft.serve") for one in ("serve.css", "serve.js"))
    return page(f"regraft serve · {file}", body, css=[css], js=[js], allow=_POLICY)


_POLICY = ("connect-src 'self'",)
