"""Figures by matplotlib in the design of the pages, and their conversion to SVG inside a page.

matplotlib is imported on first use only. The same functions draw the figures of a notebook and those of a report.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from regraft.language import translate_heading
from regraft.report.page import text
from regraft.screen import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, SOFT, LINE = "#1b1f24", "#57606a", "#d5dae0"
SERIES: Final = ("#0072b2", "#c2500a", "#00795a", "#a3487c", "#2b8cc4", "#8f6a00", "#6b6bd1", "#6b7280")
"""Colors of series, which people with any color vision can tell apart; those of ``page.css`` on a light screen."""

_VARIABLES = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    **{color: f"var(--c{number})" for number, color in enumerate(SERIES, start=1)},
}

_STYLE: dict[str, Any] = {
    "font.size": 10.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "svg.fonttype": "none",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}

SIZE = (4.9, 3.0)
"""Width and height of a figure in inches; text keeps its size on a phone."""

Draw = Callable[["Axes"], None]


FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "PingFang SC", "Microsoft YaHei", "Arial Unicode MS")
"""Fonts of figures in notebooks. A page has text, and its browser finds the fonts: there the first one is enough."""


@contextmanager
def house_style(fonts: Sequence[str] = FONTS[:1]) -> Iterator[None]:
    """Draw in the design of the pages within this block, whatever the user's settings of matplotlib are.

    Args:
        fonts: fonts to look for each character in.
    """
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # names in any script; the browser has fonts
    import warnings

    import matplotlib as mpl
    from cycler import cycler

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        mpl.rcdefaults()
        settings: Any = {**_STYLE, "font.family": list(fonts), "axes.prop_cycle": cycler(color=SERIES)}
        mpl.rcParams.update(settings)
        yield


def figure_html(draw: Draw, name: str, title: str, note: str = "") -> str:
    """Return a figure as HTML: a drawing with its title as caption.

    Args:
        draw: draws into an axes.
        name: identifier of the figure in its page, such as ``"loss"``.
        title: the title, plain text.
        note: HTML after the title.
    """
    caption = f"<figcaption><b>{text(translate_heading(title))}</b>{' · ' + note if note else ''}</figcaption>"
    return f'<figure class="figure">{caption}{inline_svg(draw, name, title)}</figure>'


def inline_svg(draw: Draw, name: str, label: str) -> str:
    """Return a drawing as an SVG element for a page; equal drawings give equal bytes.

    Args:
        draw: draws into an axes.
        name: identifier of the drawing in its page.
        label: what it shows, for screen readers.
    """
    out = io.StringIO()
    with house_style():
        import matplotlib as mpl

        mpl.rcParams["svg.hashsalt"] = name
        from matplotlib.figure import Figure

        figure = Figure(figsize=SIZE, layout="constrained")
        draw(figure.subplots())
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _element(out.getvalue(), label)


def _element(svg: str, label: str) -> str:
    """Return the ``svg`` element of a file of matplotlib, without what a page must not repeat."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = _TAG.sub(lambda tag: _themed(tag[0]), svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    head = f'<svg class="chart" role="img" aria-label="{text(label)}" {box[0]}>'
    svg = re.sub(r"<svg[^>]*>", lambda _: head, svg, count=1)
    return re.sub(r"\s*\n\s*", " ", svg).strip()


_TAG = re.compile(r"<[a-zA-Z][^<>]*>")
"""A tag. Texts between tags may be names of classes, and are left alone."""


def _themed(tag: str) -> str:
    """Return a tag with variables in place of colors; a group loses its identifier, which would not be unique."""
    for color, variable in _VARIABLES.items():
        tag = tag.replace(color, variable)
    return re.sub(r'^<g id="[^"]*"', "<g", tag).replace("xlink:href", "href")


def styles_to_classes(body: str) -> tuple[str, str]:
    """Return ``body`` with a class in place of each style attribute, and the rules of these classes.

    The policy of a page allows no style attribute.
    """
    names: dict[str, str] = {}

    def name_of(match: re.Match[str]) -> str:
        return f' class="{names.setdefault(match[1], f"s{len(names)}")}"'

    body = _TAG.sub(lambda tag: re.sub(r' style="([^"]*)"', name_of, tag[0]), body)
    return body, "".join(f".{name}{{{style}}}\n" for style, name in names.items())


def short(label: str, length: int = 22) -> str:
    """Return a name for a legend: without control characters, and cut to ``length`` characters."""
    label = printable(label)
    return label if len(label) <= length else label[: length - 1] + "…"
