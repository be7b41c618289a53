"""The comparison of runs on one page: the first run with each of the others, photo by photo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from regraft.disk.atomic import write_text
from regraft.report.elements import file_name, picture, section, share, table, unbroken_percent
from regraft.report.page import name, page, resource, text
from regraft.report.run_comparison import RunComparison, compare_runs
from regraft.report.run_data import RunData, read_run
from regraft.run.folder import RunFolder
from regraft.text import counted

MAX_FLIPPED = 60
"""Photos shown of those that only one run got right."""


def write_comparison(runs: Sequence[Path], file: Path) -> None:
    """Write a page that compares the first of ``runs`` with each of the others.

    Args:
        runs: folders of at least two finished runs.
        file: the page.

    Raises:
        RunFolderError: a run is not finished, or its files are damaged.
        OSError: the page cannot be written.
    """
    data = [read_run(run) for run in runs]
    first, *others = data
    parts = [
        _compared(f"vs-{number}", first, other, compare_runs(RunFolder(first.path), RunFolder(other.path)))
        for number, other in enumerate(others, start=2)
    ]
    title = " and ".join(run.path.name for run in data)
    body = (
        f'<header class="top"><h1>Comparison of {name(title)}</h1></header>'
        f'<main><section id="answer">{_overview(data)}</section>{"".join(parts)}</main>'
    )
    write_text(file, page(f"Comparison: {title}", body, css=[resource("report.css")]))


def _overview(runs: Sequence[RunData]) -> str:
    rows = []
    for run in runs:
        entry = run.headline
        used = "yes" if entry.get("used_for_choosing") else "no"
        accuracy = share(entry["figures"]["accuracy"])
        rows.append([name(run.path.name), text(run.metrics.get("chosen", "")), accuracy, f"{entry['n']:,}", used])
    head = ["run", "classifier", "accuracy", "photos", "a choice used them"]
    return table(head, rows, left=(1,), caption="The runs and their accuracies")


def _compared(anchor: str, first: RunData, second: RunData, comparison: RunComparison) -> str:
    """Return the comparison of two runs, as a section."""
    a, b = first.path.name, second.path.name
    if not comparison.n:
        verdict = "<p>No photo was measured in both runs, so their accuracies cannot be compared.</p>"
    else:
        value, (low, high) = comparison.difference
        better = "" if comparison.better is None else name((a, b)[comparison.better])
        change = f"{better} is better" if better else "There is no clear difference"
        verdict = (
            f'<p class="lead">{change}: {100 * value:+.1f} points of accuracy '
            f"({100 * low:+.1f} to {100 * high:+.1f})</p>"
            f"<p>{name(b)} minus {name(a)}, photo by photo, with a 95 % interval, on the "
            f"{counted(comparison.n, 'photo')} that both were measured on: {comparison.both:,} are right in both, "
            f"{comparison.neither:,} in neither.</p>"
        )
    flips = [
        _flipped(run, other, names)
        for run, other, names in zip((first, second), (second, first), comparison.only, strict=True)
    ]
    return section(anchor, f"{a} compared with {b}", verdict, *flips, _settings(comparison, a, b))


def _flipped(run: RunData, other: RunData, names: Sequence[str]) -> str:
    """Return the photos that only ``run`` gets right, with what both predict."""
    if not names:
        return ""
    tiles = "".join(_tile(run, other, path) for path in names[:MAX_FLIPPED])
    more = f"<p class='note'>and {len(names) - MAX_FLIPPED:,} more</p>" if len(names) > MAX_FLIPPED else ""
    title = f"Only {run.path.name} gets these right ({len(names):,})"
    return f'<h3>{text(title)}</h3><div class="tiles">{tiles}</div>{more}'


def _tile(run: RunData, other: RunData, path: str) -> str:
    """Return a photo; its small picture is in the folder of the run that got it wrong."""
    rows = [(one, {photo.path: photo for photo in one.photos.predicted}.get(path)) for one in (run, other)]
    says = "".join(
        f"<br>{name(one.path.name)}: {name(photo.predicted)} {unbroken_percent(photo.probability)}"
        for one, photo in rows
        if photo is not None
    )
    label = next((photo.label for _, photo in rows if photo is not None), "")
    return (
        f'<figure class="tile">{picture(other.photos, path)}<figcaption>labeled <b>{name(label)}</b>{says}<br>'
        f"{file_name(path)}</figcaption></figure>"
    )


def _settings(comparison: RunComparison, a: str, b: str) -> str:
    rows = [[text(cell) for cell in row] for row in comparison.setting_rows()]
    if not rows:
        return "<p>The settings of both runs are the same.</p>"
    return "<h3>Settings that differ</h3>" + table(["", name(a), name(b)], rows, left=(1, 2), caption="Settings")
