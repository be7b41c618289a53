"""``check.html``: the findings with their photos side by side, and buttons that write ``decisions.csv``.

The page is one file that loads nothing: style, script and pictures are inside it. Names of files and classes are
always escaped; the script reads them from attributes and never uses them as markup. This is the one report that reads
photos.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.audit.finding import ACTIONABLE
from regraft.data.selection import place_of
from regraft.disk.atomic import write_text
from regraft.report.check_kinds import explanation
from regraft.report.check_screen import by_kind
from regraft.report.page import json_attribute, name, page, resource, text
from regraft.report.thumbnails import thumbnails
from regraft.text import counted

MAX_SHOWN = 8
"""Photos of a group that are shown; the others are only named."""

WIDE = 3
"""Minimum number of photos of a card that takes the whole width."""

_KEYS = (
    ("j n →", "next"), ("k p ←", "previous"), ("e", "keep"), ("d", "drop"), ("r", "accept the suggestion"),
    ("z", "zoom"), ("u", "undo"),
)  # fmt: skip


@dataclass(frozen=True)
class _Photos:
    """Pictures and classes of the photos on the page, by their names; and a typical photo of each class."""

    pictures: Mapping[str, str]
    labels: Mapping[str, str]
    examples: Mapping[str, str]


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
        workers: threads that make pictures.
        moved: where photos are now, by their names, if they are no longer in the folders of ``check``.

    Raises:
        OSError: the page cannot be written.
    """
    examples = check.get("examples", {})
    suggested = {finding["suggestion"] for finding in check["findings"] if finding["suggestion"]}
    compared = [photo for label, photo in examples.items() if label in suggested]
    shown = [photo for finding in check["findings"] for photo in finding["photos"][:MAX_SHOWN]]
    folders = tuple(map(Path, (check["photos"], *check.get("more_photos", ()))))
    places = {photo: (moved or {}).get(photo) or place_of(photo, folders) for photo in (*shown, *compared)}
    photos = _Photos(thumbnails(places, workers), check["labels"], examples)
    kinds = by_kind(check)
    sections = "\n".join(_section(level, kind, findings, photos) for (level, kind), findings in kinds.items())
    body = f"""{_header(check)}
{_bar([(level, kind, len(findings)) for (level, kind), findings in kinds.items()], check, train)}
<datalist id="classes">{"".join(f'<option value="{text(label)}">' for label in sorted(check["classes"]))}</datalist>
<main>{sections or "<p>No problems found.</p>"}</main>
<dialog id="zoom" aria-label="photo"><p></p><button type="button">close</button></dialog>"""
    attributes = f'data-key="{_findings_key(check)}" data-decisions="{_decisions(check)}"'
    title = f"Check of {check['photos']}"
    html = page(title, body, css=[resource("check.css")], js=[resource("check.js")], attributes=attributes)
    write_text(out / "check.html", html)


def _header(check: dict[str, Any]) -> str:
    counts = " · ".join(counted(n, level, level if level == "info" else None) for level, n in check["counts"].items())
    photos = counted(check["files"].get("ok", 0), "photo")
    return f'<header class="bar-top"><h1>{text(check["photos"])}</h1><p>{photos} · {counts}</p></header>'


def _bar(kinds: list[tuple[str, str, int]], check: dict[str, Any], train: str) -> str:
    """Return the bar that stays on top: filters by kind, the button that saves, and what the keys do."""
    use = text(train or "regraft train PHOTOS --decisions decisions.csv")
    chips = "".join(
        f'<button type="button" class="filter" data-kind="{json_attribute(kind)}" aria-pressed="false">'
        f'<span class="level {level}"></span>{text(kind)} <small>{n:,}</small></button>'
        for level, kind, n in kinds
    )
    keys = " · ".join(f"<span><kbd>{text(key)}</kbd> {what}</span>" for key, what in _KEYS)
    return f"""<div class="bar" role="region" aria-label="decisions">
<div class="filters" role="group" aria-label="kinds of findings">{chips}</div>
<div class="row"><button id="save" type="button" disabled>Save decisions.csv</button>
<button id="undo" type="button" disabled>Undo</button>
<label><input type="checkbox" id="open-only"> only undecided</label>
<span id="message" role="status">No decisions yet.</span></div>
<details class="help"><summary>How it works</summary><p>{keys}</p><p>Photos are never changed. Save the decisions, and
use them: <code>{use}</code></p></details></div>"""


def _findings_key(check: dict[str, Any]) -> str:
    """Return a hash of the findings and of the decisions about them; the browser keeps decisions under it."""
    facts = [check["photos"], check["findings"], check.get("decisions", [])]
    return hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _decisions(check: dict[str, Any]) -> str:
    """Return the decisions that were made before, for the script: [[path, {what, why}], ...] in an attribute."""
    return json_attribute(
        [[row["path"], {"what": row["decision"], "why": row["why"]}] for row in check.get("decisions", [])]
    )


def _section(level: str, kind: str, findings: list[dict[str, Any]], photos: _Photos) -> str:
    cards = "\n".join(_card(finding, photos) for finding in findings)
    opened = " open" if level != "info" or kind == "wrong label" else ""
    bulk = _bulk(kind, findings) if kind in ACTIONABLE and len(findings) > 1 else ""
    return (
        f'<details{opened} data-kind="{json_attribute(kind)}"><summary><span class="level {level}">{level}</span> '
        f"{text(kind)} <small>{len(findings):,}</small></summary><p class='note'>{text(explanation(kind))}</p>{bulk}"
        f"<div class='cards'>\n{cards}\n</div></details>"
    )


def _bulk(kind: str, findings: list[dict[str, Any]]) -> str:
    """Return buttons that decide about the first photo of every finding that has no decision yet."""
    actions = [("keep", "Keep all"), ("drop", "Drop the first of each")]
    if all(len(finding["photos"]) == 1 for finding in findings):
        actions[1] = ("drop", "Drop all")
    if any(finding["suggestion"] for finding in findings):
        actions.append(("suggestion", "Accept all suggestions"))
    buttons = "".join(
        f'<button type="button" data-bulk="{do}" aria-label="{words}: {text(kind)}">{words}</button>'
        for do, words in actions
    )
    return f'<p class="row bulk"><span class="note">Undecided:</span> {buttons}</p>'


def _card(finding: dict[str, Any], photos: _Photos) -> str:
    shown = finding["photos"][:MAX_SHOWN]
    figures = [_photo(photo, finding, photos) for photo in shown]
    example = photos.examples.get(finding["suggestion"], "")
    if example and example not in shown:
        label = text(finding["suggestion"])
        figures.append(
            f'<figure class="example">{_picture(example, photos)}<figcaption>for comparison: <b>{label}</b> '
            f"{name(example)}</figcaption></figure>"
        )
    more = finding["photos"][MAX_SHOWN:]
    rest = f"<p class='more'>and {text(', '.join(more))}</p>" if more else ""
    wide = ' class="wide"' if len(figures) >= WIDE else ""
    words = text(finding["words"])
    return f'<article tabindex="-1"{wide}><p>{words}</p><div class="row">{"".join(figures)}</div>{rest}</article>'


def _picture(photo: str, photos: _Photos) -> str:
    picture = photos.pictures.get(photo, "")
    if not picture:
        return '<div class="none">no preview</div>'
    return (
        f'<button type="button" class="zoom" aria-label="zoom {text(photo)}"><img loading="lazy" alt="" '
        f'src="{picture}"></button>'
    )


def _photo(photo: str, finding: dict[str, Any], photos: _Photos) -> str:
    buttons = ""
    if finding["kind"] in ACTIONABLE:
        suggestion = finding["suggestion"] if photo == finding["photos"][0] else ""
        actions = [("keep", "keep"), ("drop", "drop"), *([(f"relabel:{suggestion}", suggestion)] if suggestion else [])]
        pressed = "".join(
            f'<button type="button" data-do="{json_attribute(do)}" aria-pressed="false" '
            f'aria-label="{text(words)}: {text(photo)}">{text(words)}</button>'
            for do, words in actions
        )
        buttons = (
            f'<div class="buttons" data-path="{json_attribute(photo)}" data-why="{text(finding["kind"])}">{pressed}'
            f'<input list="classes" placeholder="other class" aria-label="other class for {text(photo)}"></div>'
        )
    label = photos.labels.get(photo, "")
    caption = f"<figcaption><b>{text(label)}</b> {name(photo)}</figcaption>"
    return f"<figure>{_picture(photo, photos)}{caption}{buttons}</figure>"
