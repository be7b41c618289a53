"""Small pieces of HTML that sections share: figures with intervals, bars, tables, tiles of photos."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from regraft.report.page import name, text
from regraft.report.run_data import Photos
from regraft.text import interval, percent

Figure = Mapping[str, Any]
"""A figure of ``metrics.json``: value, n and interval."""


def unbroken_percent(value: float) -> str:
    """Return a share as percent, as HTML that is not broken into two lines."""
    return percent(value).replace(" ", "&nbsp;")


def share(figure: Figure) -> str:
    """Return a share with its interval in a smaller font, as HTML."""
    bounds = interval(dict(figure))
    return f"{percent(figure['value'])}{f' <small>{bounds}</small>' if bounds else ''}"


def bar(value: float, bounds: Sequence[float] | None = None, *, color: int = 1) -> str:
    """Return a bar for a share in [0, 1], with a line for its interval; the number next to it says the same."""
    line = ""
    if bounds:
        line = f'<line x1="{100 * bounds[0]:.1f}" x2="{100 * bounds[1]:.1f}" y1="4" y2="4"/>'
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="8"/><rect class="c{color}" width="{100 * value:.1f}" height="8"/>'
        f"{line}</svg>"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: Sequence[int] = (), caption: str = "") -> str:
    """Return a table as HTML; the first cell of a row is its heading.

    Args:
        head: titles of the columns, as HTML.
        rows: cells, as HTML.
        left: numbers of the columns that are aligned at their left; the first one always is.
        caption: what the table shows, for screen readers, as plain text.
    """

    def cell(tag: str, number: int, content: str, scope: str = "") -> str:
        side = ' class="left"' if number in left else ""
        return f"<{tag}{scope}{side}>{content}</{tag}>"

    titles = "".join(cell("th", number, title, ' scope="col"') for number, title in enumerate(head))
    lines = "".join(
        "<tr>"
        + cell("th", 0, row[0], ' scope="row"')
        + "".join(cell("td", number, content) for number, content in enumerate(row[1:], start=1))
        + "</tr>"
        for row in rows
    )
    title = f'<caption class="hidden">{text(caption)}</caption>' if caption else ""
    label = f' role="region" tabindex="0" aria-label="{text(caption)}"' if caption else ""
    return (
        f'<div class="scroll"{label}><table class="data">{title}<thead><tr>{titles}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def section(anchor: str, title: str, *parts: str) -> str:
    """Return a section with its heading, or "" if no part has content."""
    content = "".join(parts)
    return f'<section id="{anchor}"><h2>{text(title)}</h2>{content}</section>' if content else ""


def details(summary: str, content: str, *, is_open: bool = False) -> str:
    """Return content that is shown when its title is clicked; both are HTML."""
    return f"<details{' open' if is_open else ''}><summary>{summary}</summary>{content}</details>" if content else ""


def picture(photos: Photos, path: str, *, small: bool = False) -> str:
    """Return the small picture of a photo, or a placeholder."""
    size = "small" if small else "photo"
    data = photos.thumbnail(path)
    if not data:
        return f'<span class="{size} none" aria-hidden="true">no preview</span>'
    source = base64.b64encode(data).decode()
    return f'<img class="{size}" alt="" decoding="async" src="data:image/jpeg;base64,{source}">'


def file_name(path: str) -> str:
    """Return the last part of a photo's path, with the whole path as a hint, as HTML."""
    return f'<span class="file" title="{text(path)}">{name(path.rpartition("/")[2])}</span>'


def command_line(command: str, why: str = "") -> str:
    """Return a command to paste, and what it does, as HTML."""
    return f"{f'<p>{text(why)}</p>' if why else ''}<pre><code>{text(command)}</code></pre>"
