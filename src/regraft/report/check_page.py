"""``check.html``: the findings with their photos side by side, and buttons that write ``decisions.csv``.

The page is one file that loads nothing: style, script and thumbnails are inside it. Names of files and classes are
always escaped; the script reads them from attributes and never uses them as markup. This is the one report that reads
photos.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from regraft.audit.finding import ACTIONABLE
from regraft.data.decode import read_photo
from regraft.data.selection import place_of
from regraft.data.threads import map_in_order, workers_or_default
from regraft.disk.atomic import write_text
from regraft.errors import DecodeError
from regraft.report.check_screen import by_kind
from regraft.report.page import json_attribute, page, resource, text
from regraft.text import counted

THUMB = 160
"""Longer side of a thumbnail, in pixels."""

MAX_SHOWN = 8
"""Photos of a group that are shown; the others are only named."""


def write_page(
    check: dict[str, Any],
    out: Path,
    *,
    train: str = "",
    workers: int | None = None,
    moved: Mapping[str, Path] | None = None,
) -> None:
    """Write ``out``/check.html.

    Args:
        check: the content of ``check.json``, as `regraft.workflows.check.check_photos` returns it.
        out: the folder of the page.
        train: the command that trains with ``decisions.csv``; "" for a general one.
        workers: threads that make thumbnails.
        moved: where photos are now, by their names, if they are no longer in the folders of ``check``.

    Raises:
        OSError: the page cannot be written.
    """
    folders = tuple(map(Path, (check["photos"], *check.get("more_photos", ()))))
    places = moved or {}
    names = sorted({name for finding in check["findings"] for name in finding["photos"][:MAX_SHOWN]})
    workers = workers_or_default(workers)
    paths = [places.get(name) or place_of(name, folders) for name in names]
    images = map_in_order(_thumbnail, paths, workers=workers, ahead=64)
    thumbs = dict(zip(names, images, strict=True))
    sections = "\n".join(
        _section(level, kind, findings, thumbs, check["labels"]) for (level, kind), findings in by_kind(check).items()
    )
    counts = " · ".join(counted(n, level, level if level == "info" else None) for level, n in check["counts"].items())
    photos = counted(check["files"].get("ok", 0), "photo")
    classes = "".join(f"<option value='{text(name)}'>" for name in sorted(check["classes"]))
    use = text(train or "regraft train PHOTOS --decisions decisions.csv")
    body = f"""<header class="bar-top"><h1>{text(check["photos"])}</h1><p>{photos} · {counts}</p>
<div class="bar"><button id="save" type="button" disabled>Save decisions.csv</button> <span id="message">No decisions
yet.</span> <span>Photos are never changed. Use the saved decisions: <code>{use}</code></span></div>
</header><datalist id="classes">{classes}</datalist><main>
{sections or "<p>No problems found.</p>"}
</main>"""
    attributes = f'data-key="{_findings_key(check)}" data-decisions="{_decisions(check)}"'
    title = f"Check of {check['photos']}"
    html = page(title, body, css=[resource("check.css")], js=[resource("check.js")], attributes=attributes)
    write_text(out / "check.html", html)


def _findings_key(check: dict[str, Any]) -> str:
    """Return a hash of the findings and of the decisions about them; the browser keeps decisions under it."""
    facts = [check["photos"], check["findings"], check.get("decisions", [])]
    return hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _decisions(check: dict[str, Any]) -> str:
    """Return the decisions that were made before, for the script: [[path, {what, why}], ...] in an attribute."""
    return json_attribute(
        [[row["path"], {"what": row["decision"], "why": row["why"]}] for row in check.get("decisions", [])]
    )


def _section(
    level: str, kind: str, findings: list[dict[str, Any]], thumbs: Mapping[str, str], labels: Mapping[str, str]
) -> str:
    cards = "\n".join(_card(finding, thumbs, labels) for finding in findings)
    opened = " open" if level != "info" or kind == "wrong label" else ""
    return (
        f'<details{opened}><summary><span class="level {level}">{level}</span> {text(kind)} '
        f"<small>{len(findings):,}</small></summary><div class='cards'>\n{cards}\n</div></details>"
    )


def _card(finding: dict[str, Any], thumbs: Mapping[str, str], labels: Mapping[str, str]) -> str:
    act = finding["kind"] in ACTIONABLE
    shown = finding["photos"][:MAX_SHOWN]
    photos = "".join(_photo(name, finding, thumbs.get(name, ""), labels.get(name, ""), act=act) for name in shown)
    more = finding["photos"][MAX_SHOWN:]
    rest = f"<p class='more'>and {text(', '.join(more))}</p>" if more else ""
    return f"<article><p>{text(finding['words'])}</p><div class='row'>{photos}</div>{rest}</article>"


def _photo(name: str, finding: dict[str, Any], thumb: str, label: str, *, act: bool) -> str:
    picture = f'<img loading="lazy" alt="" src="{thumb}">' if thumb else '<div class="none">no preview</div>'
    buttons = ""
    if act:
        suggestion = finding["suggestion"] if name == finding["photos"][0] else ""
        do = json_attribute(f"relabel:{suggestion}")
        relabel = f'<button data-do="{do}">{text(suggestion)}</button>' if suggestion else ""
        buttons = (
            f'<div class="buttons" data-path="{json_attribute(name)}" data-why="{text(finding["kind"])}">'
            f'<button data-do="&quot;keep&quot;">keep</button><button data-do="&quot;drop&quot;">drop</button>{relabel}'
            '<input list="classes" placeholder="other class" aria-label="other class"></div>'
        )
    return f"<figure>{picture}<figcaption><b>{text(label)}</b> {text(name)}</figcaption>{buttons}</figure>"


def _thumbnail(path: Path) -> str:
    try:
        image = read_photo(path, at_least=(THUMB, THUMB), damaged_too=True)
    except DecodeError:
        return ""
    image.thumbnail((THUMB, THUMB), Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=70)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
