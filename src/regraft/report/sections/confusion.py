"""The confusion matrix: classes that look alike stand next to each other; a click shows the photos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regraft.report.elements import details, section
from regraft.report.page import name, text
from regraft.report.run_data import RunData
from regraft.text import percent

MAX_NUMBERS = 30
"""Classes up to which the matrix is a table of numbers; above, it is a map of colored cells."""

MAX_CLASSES = 200
"""Classes up to which there is a matrix; above, only the confused pairs are listed."""

MAX_PAIRS = 300


def confusion(run: RunData) -> str:
    """Return the confusion matrix and the list of confused pairs."""
    if not run.headline:
        return ""
    counts = np.array(run.headline["figures"]["confusion"]["counts"], dtype=np.int64)
    if not counts.sum():
        return ""
    order = by_similarity(_similarity(run, counts))
    parts = []
    if len(counts) <= MAX_NUMBERS:
        parts.append(_intro() + _switch(_table(run, counts, order)))
    elif len(counts) <= MAX_CLASSES:
        parts.append(_intro() + _map(run, counts, order))
    else:
        parts.append(f"<p>There are {len(counts):,} classes, too many for a matrix. These are the confused pairs.</p>")
    return section("confusion", "Which classes are confused", *parts, _pairs(run, counts))


def _intro() -> str:
    return (
        "<p>A row is a class, a column is what was predicted for its photos. Classes that the classifier finds similar "
        "are neighbors. Click a number to see the photos.</p>"
    )


def _similarity(run: RunData, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how similar classes are, shape (k, k): the mean probability of one for photos of the other."""
    support = np.maximum(counts.sum(axis=1), 1)[:, None]
    table = counts / support
    p = run.photos.probabilities
    if p is not None and p.shape == (len(run.photos.predicted), len(counts)):
        table = np.stack([p[run.labels == c].sum(axis=0) for c in range(len(counts))]) / support
    both: NDArray[np.float64] = table + table.T
    np.fill_diagonal(both, -1.0)
    return both


def by_similarity(similarity: NDArray[np.float64]) -> list[int]:
    """Return the classes in a chain: the most similar pair first, then always the class most similar to either end.

    Args:
        similarity: symmetric, shape (k, k).
    """
    k = len(similarity)
    first, second = divmod(int(similarity.argmax()), k)
    chain, left = [first, second], [c for c in range(k) if c not in (first, second)]
    while left:
        ends = [max(left, key=lambda c: (similarity[end, c], -c)) for end in (chain[0], chain[-1])]
        if similarity[chain[0], ends[0]] > similarity[chain[-1], ends[1]]:
            chain.insert(0, ends[0])
            left.remove(ends[0])
        else:
            chain.append(ends[1])
            left.remove(ends[1])
    return chain if chain[0] < chain[-1] else chain[::-1]


def _switch(table: str) -> str:
    """Return a table whose cells show photos, or shares of their row, as the user chooses."""
    return (
        '<fieldset class="switch"><legend class="hidden">Cells show</legend>'
        '<label><input type="radio" name="cells" checked> photos</label> '
        '<label><input type="radio" name="cells" id="as-shares"> % of the class</label></fieldset>' + table
    )


def _table(run: RunData, counts: NDArray[np.int64], order: Sequence[int]) -> str:
    labels = run.classes
    head = "".join(f'<th scope="col"><span>{name(labels[c])}</span></th>' for c in order)
    rows = []
    for a in order:
        total = int(counts[a].sum())
        cells = "".join(_cell(labels, a, b, int(counts[a, b]), total) for b in order)
        rows.append(f'<tr><th scope="row">{name(labels[a])}</th>{cells}<td class="sum">{total:,}</td></tr>')
    tilted = " tilted" if len(order) > 6 or any(len(label) > 14 for label in labels) else ""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="Confusion matrix"><table class="matrix{tilted}">'
        '<caption class="hidden">Confusion matrix: rows are classes, columns are predictions</caption>'
        f'<thead><tr><td></td>{head}<th scope="col"><span>photos</span></th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(labels: Sequence[str], a: int, b: int, count: int, total: int) -> str:
    if not count:
        return '<td class="zero">·</td>'
    rate = count / total
    step = min(10, max(1, round(10 * rate)))
    both = f'<span class="n">{count:,}</span><span class="p">{100 * rate:.0f}</span>'
    if a == b:
        return f'<td class="hit h{step}">{both}</td>'
    title = f"{count:,} of {labels[a]} predicted as {labels[b]}"
    return (
        f'<td class="miss m{step}"><button type="button" data-show="{a}-{b}" title="{text(title)}">{both}</button></td>'
    )


def _map(run: RunData, counts: NDArray[np.int64], order: Sequence[int]) -> str:
    """Return the matrix as a drawing with a square for each cell that is not zero."""
    k, place = len(order), {c: position for position, c in enumerate(order)}
    cells = []
    for a, b in np.argwhere(counts).tolist():
        count, total = int(counts[a, b]), int(counts[a].sum())
        step = min(10, max(1, round(10 * count / total)))
        kind = "h" if a == b else "m"
        title = f"{count:,} of {run.classes[a]}: {run.classes[b]}"
        show = "" if a == b else f' data-show="{a}-{b}"'
        cells.append(
            f'<rect class="{kind}{step}" x="{place[b]}" y="{place[a]}" width="1" height="1"{show}>'
            f"<title>{text(title)}</title></rect>"
        )
    return (
        f'<svg class="map" viewBox="0 0 {k} {k}" role="img" aria-label="Confusion matrix of {k} classes; all confused '
        f'pairs are listed below"><rect class="track" width="{k}" height="{k}"/>{"".join(cells)}</svg>'
    )


def _pairs(run: RunData, counts: NDArray[np.int64]) -> str:
    off = counts - np.diag(np.diag(counts))
    pairs = np.argwhere(off)
    if not len(pairs):
        return ""
    ranked = sorted(pairs.tolist(), key=lambda pair: (-off[pair[0], pair[1]], pair))
    rows = "".join(
        f'<li><button type="button" data-show="{a}-{b}">{name(run.classes[a])} → {name(run.classes[b])}</button> '
        f"{int(off[a, b]):,} of {int(counts[a].sum()):,} <span class='soft'>"
        f"({percent(off[a, b] / counts[a].sum())})</span></li>"
        for a, b in ranked[:MAX_PAIRS]
    )
    title = f"Confused pairs <small>{len(ranked):,}</small>"
    return details(title, f'<ul class="pairs">{rows}</ul>', is_open=len(counts) > MAX_NUMBERS)
