"""``check.html``: the findings with their photos side by side, and buttons that make ``decisions.csv``.

The page is one file without anything from elsewhere: thumbnails are inside it. Names of files and classes are text,
whatever they hold; the script reads them from attributes and never makes markup of them.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from regraft.data.decode import read_photo
from regraft.data.threads import map_in_order, workers_or_default
from regraft.disk.atomic import write_text
from regraft.errors import DecodeError
from regraft.report.check_screen import by_kind
from regraft.report.page_parts import SCRIPT, STYLE
from regraft.screen import printable
from regraft.text import counted

THUMB = 160
"""Longer side of a thumbnail, in pixels."""

MOST = 8
"""Photos shown of a group; the others are named."""

_ACTIONS = {
    "two labels",
    "wrong label",
    "near copies",
    "same file",
    "same pixels",
    "leak",
    "outlier",
    "blank",
    "tiny",
    "placeholder",
}


def write_page(found: dict[str, Any], out: Path, *, workers: int | None = None) -> None:
    """Write ``out``/check.html for what `regraft.workflows.check.check_photos` found.

    Args:
        found: what ``check.json`` holds.
        out: the folder.
        workers: threads that make thumbnails.

    Raises:
        OSError: it cannot be written.
    """
    root = Path(found["photos"])
    names = sorted({name for finding in found["findings"] for name in finding["photos"][:MOST]})
    workers = workers_or_default(workers)
    thumbs = dict(zip(names, map_in_order(lambda n: _thumb(root / n), names, workers=workers, ahead=64), strict=True))
    sections = "\n".join(
        _section(level, kind, findings, thumbs, found["labels"]) for (level, kind), findings in by_kind(found).items()
    )
    counts = " · ".join(counted(n, level, level if level == "info" else None) for level, n in found["counts"].items())
    photos = counted(found["files"].get("ok", 0), "photo")
    classes = "".join(f"<option value='{_text(name)}'>" for name in sorted(found["classes"]))
    page = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><title>Check of {_text(found["photos"])}</title>
<style>{STYLE}</style></head><body>
<header><h1>{_text(found["photos"])}</h1><p>{photos} · {counts}</p>
<div class="bar"><button id="save" type="button" disabled>Save decisions.csv</button> <span id="said">Nothing decided
yet. Files are never changed: the decisions go to <code>regraft train --decisions decisions.csv</code></span></div>
</header><datalist id="classes">{classes}</datalist><main>
{sections or "<p>Nothing to complain about.</p>"}
</main><script>{SCRIPT}</script></body></html>
"""
    write_text(out / "check.html", page)


def _section(
    level: str, kind: str, findings: list[dict[str, Any]], thumbs: Mapping[str, str], labels: Mapping[str, str]
) -> str:
    cards = "\n".join(_card(finding, thumbs, labels) for finding in findings)
    opened = " open" if level != "info" or kind == "wrong label" else ""
    return (
        f'<details{opened}><summary><span class="level {level}">{level}</span> {_text(kind)} '
        f"<small>{len(findings):,}</small></summary><div class='cards'>\n{cards}\n</div></details>"
    )


def _card(finding: dict[str, Any], thumbs: Mapping[str, str], labels: Mapping[str, str]) -> str:
    act = finding["kind"] in _ACTIONS
    shown = finding["photos"][:MOST]
    photos = "".join(_photo(name, finding, thumbs.get(name, ""), labels.get(name, ""), act=act) for name in shown)
    more = finding["photos"][MOST:]
    rest = f"<p class='more'>and {_text(', '.join(more))}</p>" if more else ""
    return f"<article><p>{_text(finding['words'])}</p><div class='row'>{photos}</div>{rest}</article>"


def _photo(name: str, finding: dict[str, Any], thumb: str, label: str, *, act: bool) -> str:
    picture = f'<img loading="lazy" alt="" src="{thumb}">' if thumb else '<div class="none">no picture</div>'
    buttons = ""
    if act:
        suggestion = finding["suggestion"] if name == finding["photos"][0] else ""
        relabel = (
            f'<button data-do="{_exactly(f"relabel:{suggestion}")}">{_text(suggestion)}</button>' if suggestion else ""
        )
        buttons = (
            f'<div class="buttons" data-path="{_exactly(name)}" data-why="{_text(finding["kind"])}">'
            f'<button data-do="&quot;keep&quot;">keep</button><button data-do="&quot;drop&quot;">drop</button>{relabel}'
            '<input list="classes" placeholder="other class" aria-label="other class"></div>'
        )
    return f"<figure>{picture}<figcaption><b>{_text(label)}</b> {_text(name)}</figcaption>{buttons}</figure>"


def _text(text: str) -> str:
    """Return any text as HTML that shows it, in an element or an attribute; control characters are made visible."""
    return escape(printable(text.encode("utf-8", "replace").decode("utf-8")), quote=True)


def _exactly(text: str) -> str:
    """Return any text as an attribute that the script reads back to the letter."""
    return escape(json.dumps(text), quote=True)


def _thumb(path: Path) -> str:
    try:
        image = read_photo(path, at_least=(THUMB, THUMB))
    except DecodeError:
        return ""
    image.thumbnail((THUMB, THUMB), Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=70)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
